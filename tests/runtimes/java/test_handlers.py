"""Every form of a handler, its events and answers, and what it learns."""

import json

from java_case import ARN, JavaCase


class Handlers(JavaCase):
    def test_beans(self):
        self.function("example.Forms::bean")
        event = {"open": 3, "firstName": "Ada", "ready": True, "url": "u", "inner": {"firstName": "é\n\"", "strange": []}}
        answer = json.loads(self.result(json.dumps(event)))
        self.assertEqual((answer["open"], answer["firstName"], answer["ready"], answer["url"]), (3, "Ada", True, "u"))
        self.assertEqual(answer["inner"], {
            "open": 0, "firstName": "é\n\"", "ready": False, "url": None, "inner": None})
        self.assertEqual(self.result("null"), "null")

    def test_records_enums_optionals_and_times(self):
        self.function("example.Forms::shape")
        shape = {"colour": "GREEN", "sides": [1.0, 2.5], "label": "box",
                 "made": "2024-02-29T12:00:00.5Z", "age": "PT2H"}
        answer = json.loads(self.result(json.dumps(shape)))
        self.assertEqual(answer.pop("made"), "2024-02-29T12:00:00.500Z")
        self.assertEqual(answer, {k: v for k, v in shape.items() if k != "made"})
        self.assertIsNone(json.loads(self.result('{"sides":[]}'))["label"])

    def test_generics(self):
        self.function("example.Forms::beans")
        answer = json.loads(self.result('[{"firstName":"a"},{"open":9}]'))
        self.assertEqual(answer["a"]["open"], 9)

    def test_request_handler_typed_by_what_it_extends(self):
        self.function("example.Typed")
        answer = json.loads(self.result('[{"open":1},{"open":2}]'))
        self.assertEqual(answer["open"], 2)

    def test_a_method_may_be_named_on_an_interface(self):
        self.function("example.Typed::handleRequest")
        self.assertIn('"open":5', self.result('[{"open":5}]'))

    def test_request_stream_handler(self):
        self.function("example.Streams")
        self.assertEqual(self.result(b"abc\xc3"[:3]), "cba")
        what, call = self.invoke(bytes(range(256)) * 8192)
        self.assertEqual((what, call.body), ("response", bytes(range(255, -1, -1)) * 8192))

    def test_streams_without_interface(self):
        self.function("example.Forms::streams")
        self.assertEqual(self.result("[1]"), "raw:[1]")

    def test_simple_types(self):
        for method, event, answer in (
                ("string", '"é"', '"é!"'), ("twice", "21", "42"), ("counts", '{"a":1,"b":[]}', "2"),
                ("nothing", '"x"', "null"), ("told", '"ignored"', '"none"'), ("over", '"x"', '"two"')):
            with self.subTest(method):
                runtime = self.function("example.Forms::" + method)
                self.assertEqual(self.result(event), answer)
                runtime.kill()

    def test_context(self):
        self.function("example.Forms::context")
        headers = {
            "Lambda-Runtime-Trace-Id": "Root=1-2-3",
            "Lambda-Runtime-Client-Context": json.dumps(
                {"client": {"app_title": "app"}, "custom": {"k": "v"}, "env": {"e": "w"}}),
            "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"who","cognitoIdentityPoolId":"pool"}'}
        told = "f,7," + ARN + ",request-%d,/aws/lambda/f,stream,256,true,"
        self.assertEqual(self.result("{}", headers=headers), json.dumps(
            told % 1 + "Root=1-2-3,app{k=v}{e=w},whopool"))
        self.assertEqual(self.result("{}"), json.dumps(told % 2 + "null,none,none").replace("null", "null"))

    def test_events_of_awss_services(self):
        self.function("example.Served")
        event = {
            "Records": [{"eventSourceARN": "arn", "sentTimestamp": 1.5e9, "body": "b"}],
            "detail-type": "kind", "strange-thing": {"x": 1}, "unknown": 2}
        self.assertEqual(json.loads(self.result(json.dumps(event))), ["kind", "arn", "b", 1500000000000])

    def test_output_is_whole_lines_at_once(self):
        runtime = self.function("example.Forms::prints")
        self.assertEqual(self.result('"x"'), '"printed"')
        # It was written before the answer was.
        self.api.next()
        self.assertEqual(runtime.text(), "out x ends\nerr é\nlogged\nlogged too\n")

    def test_one_connection_is_kept_and_made_again(self):
        self.function("example.Forms::string")
        first = self.api.next()
        what, call = self.invoke('"a"', waiting=first)
        self.assertEqual(call.connection, first.connection)
        call.answer(202, b"", {"Connection": "close"})
        again = self.api.next()
        self.assertNotEqual(again.connection, first.connection)
        self.assertEqual(self.result('"b"', waiting=again), '"b!"')

    def test_chunked_events(self):
        self.function("example.Forms::string")
        chunks = b'3\r\n"ab\r\n2;x=y\r\nc"\r\n0\r\nTrailer: t\r\n\r\n'
        self.assertEqual(self.result(chunks, headers={"Transfer-Encoding": "chunked"}), '"abc!"')
        self.assertEqual(self.result('"d"'), '"d!"')
