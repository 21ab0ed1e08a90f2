//! One suite over a folder and a real S3 server: what roles and stores ask of objects.

mod keys;

use bytes::Bytes;
use futures_util::TryStreamExt;
use hearth_objects::{ClaimError, Location, claim, open};
use hearth_test_servers::{KEY_ID, S3Server, SECRET};
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult,
    UpdateVersion, WriteMultipart,
};
use std::sync::Arc;

/// What the S3 protocol asks of all parts but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Puts of one object at the same time.
const RACERS: usize = 8;

type Store = Arc<dyn ObjectStore>;

async fn suite(store: &Store) {
    puts_are_read_back(store).await;
    ranges_are_exact(store).await;
    the_first_put_if_absent_wins(store).await;
    lists_are_of_their_prefix(store).await;
    what_is_deleted_is_gone(store).await;
    parts_become_one_object(store).await;
    an_upload_that_is_given_up_leaves_nothing(store).await;
    a_place_has_one_owner(store).await;
    keys::nodes_share_their_keys(store).await;
}

fn at(path: &str) -> ObjectPath {
    ObjectPath::from(path)
}

async fn put(store: &Store, path: &str, bytes: impl Into<Bytes>) {
    store.put(&at(path), PutPayload::from(bytes.into())).await.unwrap();
}

async fn read(store: &Store, path: &str) -> Bytes {
    store.get(&at(path)).await.unwrap().bytes().await.unwrap()
}

async fn listed(store: &Store, prefix: &str) -> Vec<(String, u64)> {
    let objects = store.list(Some(&at(prefix))).try_collect::<Vec<_>>().await.unwrap();
    let mut found: Vec<_> = objects.into_iter().map(|o| (o.location.to_string(), o.size)).collect();
    found.sort();
    found
}

async fn puts_are_read_back(store: &Store) {
    for missing in [store.get(&at("no/such")).await.err(), store.head(&at("no/such")).await.err()] {
        assert!(matches!(missing, Some(Error::NotFound { .. })), "{missing:?}");
    }
    put(store, "put/a", "one").await;
    assert_eq!(read(store, "put/a").await, "one");
    put(store, "put/a", "another one").await;
    assert_eq!(read(store, "put/a").await, "another one");
    put(store, "put/empty", "").await;
    assert_eq!(read(store, "put/empty").await, "");
    let large = Bytes::from((0..1_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    put(store, "put/large", large.clone()).await;
    assert_eq!(read(store, "put/large").await, large);
    assert_eq!(store.head(&at("put/large")).await.unwrap().size, large.len() as u64);
}

async fn ranges_are_exact(store: &Store) {
    put(store, "range/a", "0123456789").await;
    let path = at("range/a");
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
    assert_eq!(store.get_range(&path, 0..10).await.unwrap(), "0123456789");
    let parts = store.get_ranges(&path, &[0..1, 8..10]).await.unwrap();
    assert_eq!(parts, [Bytes::from("0"), Bytes::from("89")]);
    let options = GetOptions { range: Some((7..).into()), ..GetOptions::default() };
    let got = store.get_opts(&path, options).await.unwrap();
    assert_eq!((got.meta.size, got.range.clone()), (10, 7..10));
    assert_eq!(got.bytes().await.unwrap(), "789");
}

async fn the_first_put_if_absent_wins(store: &Store) {
    let create = |bytes: String| async move {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&at("create/a"), PutPayload::from(bytes.into_bytes()), options).await
    };
    let racing: Vec<_> = (0..RACERS).map(|racer| create(racer.to_string())).collect();
    let ends = futures_util::future::join_all(racing).await;
    let winners: Vec<_> = (0..RACERS).filter(|racer| ends[*racer].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{ends:?}");
    for end in ends.into_iter().filter_map(Result::err) {
        assert!(matches!(end, Error::AlreadyExists { .. }), "{end:?}");
    }
    assert_eq!(read(store, "create/a").await, winners[0].to_string());
    assert!(matches!(create("late".to_owned()).await, Err(Error::AlreadyExists { .. })));
    assert_eq!(read(store, "create/a").await, winners[0].to_string());
    store.delete(&at("create/a")).await.unwrap();
    create("new".to_owned()).await.unwrap();
}

async fn lists_are_of_their_prefix(store: &Store) {
    for (path, bytes) in [("list/a", "1"), ("list/b/c", "22"), ("list/b/d", "333"), ("listed", "")]
    {
        put(store, path, bytes).await;
    }
    let found = listed(store, "list").await;
    let expected = [("list/a", 1), ("list/b/c", 2), ("list/b/d", 3)];
    assert_eq!(found, expected.map(|(path, bytes)| (path.to_owned(), bytes)));
    assert_eq!(listed(store, "list/b").await.len(), 2);
    assert!(listed(store, "nothing").await.is_empty());
    // More than one page of S3's.
    let many: Vec<_> = (0..1100).map(|i| format!("many/{i:04}")).collect();
    for some in many.chunks(50) {
        let puts = some.iter().map(|path| put(store, path, "x"));
        futures_util::future::join_all(puts).await;
    }
    let found: Vec<_> = listed(store, "many").await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(found, many);
}

async fn what_is_deleted_is_gone(store: &Store) {
    put(store, "delete/a", "1").await;
    put(store, "delete/b", "1").await;
    store.delete(&at("delete/a")).await.unwrap();
    assert!(matches!(store.get(&at("delete/a")).await, Err(Error::NotFound { .. })));
    assert_eq!(listed(store, "delete").await.len(), 1);
    // A folder says that it was not there, S3 does not; nobody may care.
    match store.delete(&at("delete/a")).await {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

async fn parts_become_one_object(store: &Store) {
    let path = at("parts/a");
    let upload = store.put_multipart(&path).await.unwrap();
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let whole: Vec<u8> = (0..2 * PART_BYTES + 10).map(|i| (i % 251) as u8).collect();
    for piece in whole.chunks(1_000_000) {
        upload.wait_for_capacity(2).await.unwrap();
        upload.write(piece);
    }
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })), "it is not whole yet");
    upload.finish().await.unwrap();
    assert_eq!(read(store, "parts/a").await, whole);
    let seam = PART_BYTES as u64;
    let across = store.get_range(&path, seam - 5..seam + 5).await.unwrap();
    assert_eq!(across, whole[PART_BYTES - 5..PART_BYTES + 5]);
}

async fn an_upload_that_is_given_up_leaves_nothing(store: &Store) {
    let path = at("given-up/a");
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(PutPayload::from(vec![1; PART_BYTES])).await.unwrap();
    upload.abort().await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    assert!(listed(store, "given-up").await.is_empty());
}

async fn a_place_has_one_owner(store: &Store) {
    claim(store, "this").await.unwrap();
    claim(store, "this").await.unwrap();
    let taken = claim(store, "that").await.unwrap_err();
    assert!(matches!(&taken, ClaimError::Taken { owner } if owner == "this"), "{taken:?}");
    claim(store, "this").await.unwrap();
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::Folder(dir.path().join("objects"));
    let store = open(&location, None, &|_| None).await.unwrap();
    suite(&store).await;
    put(&store, "update/a", "one").await;
    let refused = replace(&store, "update/a", "two", UpdateVersion { e_tag: None, version: None });
    assert!(matches!(refused.await, Err(Error::NotImplemented { .. })));
    assert_eq!(read(&store, "update/a").await, "one");
}

/// Puts bytes if nobody has put any since `seen`.
async fn replace(
    store: &Store,
    path: &str,
    bytes: &'static str,
    seen: UpdateVersion,
) -> Result<PutResult, Error> {
    let options = PutOptions { mode: PutMode::Update(seen), ..PutOptions::default() };
    store.put_opts(&at(path), PutPayload::from_static(bytes.as_bytes()), options).await
}

/// One server for all that concerns S3: it takes seconds to start.
#[tokio::test]
async fn s3_keeps_the_contract_and_says_what_is_wrong() {
    let mut server = S3Server::start().await;
    s3::makes_a_bucket(&server).await;
    let [first, second] =
        [s3::open_at("s3://bucket/one", &server), s3::open_at("s3://bucket", &server)];
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    suite(&first).await;
    // What is under a prefix is nobody else's, and is what it is called.
    assert_eq!(read(&second, "one/range/a").await, "0123456789");
    assert!(matches!(second.get(&at("range/a")).await, Err(Error::NotFound { .. })));

    s3::what_changed_since_it_was_seen_is_not_replaced(&first).await;
    s3::dates_are_of_now(&first).await;
    s3::says_what_is_wrong(&server).await;
    s3::outlives_the_server(&mut server, &first).await;
}

mod s3 {
    use super::*;
    use hearth_objects::{Endpoint, OpenError, RETRY_MAX};
    use object_store::aws::AmazonS3Builder;
    use std::time::{Duration, Instant};

    pub(super) async fn what_changed_since_it_was_seen_is_not_replaced(store: &Store) {
        put(store, "update/a", "one").await;
        let seen = store.get(&at("update/a")).await.unwrap().meta;
        let seen = UpdateVersion { e_tag: seen.e_tag, version: seen.version };
        let written = replace(store, "update/a", "two", seen.clone()).await.unwrap();
        let late = replace(store, "update/a", "late", seen.clone()).await;
        assert!(matches!(late, Err(Error::Precondition { .. })), "{late:?}");
        assert_eq!(read(store, "update/a").await, "two");
        let again = UpdateVersion { e_tag: written.e_tag, version: written.version };
        replace(store, "update/a", "three", again.clone()).await.unwrap();
        store.delete(&at("update/a")).await.unwrap();
        let gone = replace(store, "update/a", "gone", again).await;
        let is_told = matches!(gone, Err(Error::Precondition { .. } | Error::NotFound { .. }));
        assert!(is_told, "{gone:?}");
        assert!(matches!(store.get(&at("update/a")).await, Err(Error::NotFound { .. })));
    }

    pub(super) async fn dates_are_of_now(store: &Store) {
        put(store, "date/a", "one").await;
        let before = store.head(&at("date/a")).await.unwrap().last_modified;
        // Dates are whole seconds in answers to HEAD.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        put(store, "date/a", "one").await;
        let written = store.head(&at("date/a")).await.unwrap().last_modified;
        let listed: Vec<_> = store.list(Some(&at("date"))).try_collect().await.unwrap();
        assert!((written - before).num_milliseconds() >= 1000, "the same bytes, put again");
        let apart = (listed[0].last_modified - written).num_milliseconds().abs();
        assert!(apart <= 1000, "{listed:?}, {written}");
    }

    /// How long it may take until all is as it was.
    const BACK_MAX: Duration = Duration::from_secs(60);

    async fn opened(
        location: &str,
        endpoint: &str,
        env: &[(&str, &str)],
    ) -> Result<Store, OpenError> {
        let env: Vec<(String, String)> =
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let no_file = |name: &str| match name {
            "AWS_CONFIG_FILE" | "AWS_SHARED_CREDENTIALS_FILE" => Some("/no/such/file".to_owned()),
            _ => None,
        };
        let env = |wanted: &str| {
            let found = env.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).or_else(|| no_file(wanted))
        };
        let endpoint: Option<Endpoint> = (!endpoint.is_empty()).then(|| endpoint.parse().unwrap());
        open(&location.parse().unwrap(), endpoint.as_ref(), &env).await
    }

    pub(super) async fn open_at(location: &str, server: &S3Server) -> Result<Store, OpenError> {
        let env = [("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];
        opened(location, &server.endpoint(), &env).await
    }

    /// This server makes one for the first object that it is to hold.
    pub(super) async fn makes_a_bucket(server: &S3Server) {
        let unchecked = AmazonS3Builder::new()
            .with_bucket_name("bucket")
            .with_endpoint(server.endpoint())
            .with_allow_http(true)
            .with_access_key_id(KEY_ID)
            .with_secret_access_key(SECRET)
            .build()
            .unwrap();
        unchecked.put(&at("first"), PutPayload::default()).await.unwrap();
    }

    pub(super) async fn says_what_is_wrong(server: &S3Server) {
        let endpoint = server.endpoint();
        let endpoint = endpoint.as_str();
        for wrong in [(KEY_ID, "another secret"), ("AKIDOFNOBODY", SECRET)] {
            let env = [("AWS_ACCESS_KEY_ID", wrong.0), ("AWS_SECRET_ACCESS_KEY", wrong.1)];
            let error = opened("s3://bucket", endpoint, &env).await.unwrap_err();
            assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
            assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
        }
        let none = opened("s3://bucket", endpoint, &[]).await.unwrap_err();
        assert!(matches!(none, OpenError::NoCredentials), "{none:?}");
        let bad = opened("s3://bucket", "", &[("AWS_ENDPOINT_URL", "nowhere")]).await.unwrap_err();
        assert!(matches!(bad, OpenError::Endpoint(_)), "{bad:?}");
        let no_bucket = open_at("s3://another-bucket", server).await.unwrap_err();
        assert!(matches!(no_bucket, OpenError::NoBucket { .. }), "{no_bucket:?}");

        // From a profile, as AWS's tools would; the endpoint too.
        let dir = tempfile::tempdir().unwrap();
        let [config, credentials] = ["config", "credentials"].map(|name| dir.path().join(name));
        let keys = format!("[p]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n");
        std::fs::write(&config, format!("[profile p]\nendpoint_url = {endpoint}\n")).unwrap();
        std::fs::write(&credentials, keys).unwrap();
        let env = [
            ("AWS_PROFILE", "p"),
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ];
        let store = opened("s3://bucket/one", "", &env).await.unwrap();
        assert_eq!(read(&store, "range/a").await, "0123456789");
    }

    pub(super) async fn outlives_the_server(server: &mut S3Server, store: &Store) {
        put(store, "kept/a", "before").await;
        server.kill();
        let started = Instant::now();
        let (path, lost) = (at("kept/b"), PutPayload::from("lost"));
        let (got, put_end, opened) = tokio::join!(
            async { store.get(&at("kept/a")).await },
            store.put(&path, lost),
            open_at("s3://bucket", server)
        );
        let error = got.unwrap_err();
        assert!(!matches!(error, Error::NotFound { .. }), "nobody can know: {error:?}");
        assert!(put_end.is_err());
        let unreachable = opened.unwrap_err();
        assert!(matches!(unreachable, OpenError::Unreachable { .. }), "{unreachable:?}");
        assert!(started.elapsed() < 2 * RETRY_MAX, "it gave up after {:?}", started.elapsed());

        // One that comes back meanwhile is waited for.
        let (waited, ()) = tokio::join!(patient(store), server.restart());
        assert_eq!(waited, "before");
        put(store, "kept/b", "after").await;
        assert_eq!(read(store, "kept/b").await, "after");
        assert_eq!(listed(store, "kept").await.len(), 2);
    }

    /// Asks until it is answered: this server serves before it knows what it has.
    async fn patient(store: &Store) -> Bytes {
        let started = Instant::now();
        let mut poll = tokio::time::interval(Duration::from_millis(100));
        loop {
            match store.get(&at("kept/a")).await {
                Ok(got) => return got.bytes().await.unwrap(),
                Err(error) => {
                    assert!(started.elapsed() < BACK_MAX, "the store does not come back: {error}");
                }
            }
            poll.tick().await;
        }
    }
}
