//! Message bodies, without the luck it takes to frame them: whatever decodes
//! must fit a frame again and come back as the same message.
#![no_main]

use hearth_agent_proto::{
    Decoder, FRAME_BODY_BYTES_MAX, Frame, FromAgent, ToAgent, encode_message,
};
use libfuzzer_sys::fuzz_target;

const KIND_MESSAGE: u8 = 1;

macro_rules! check {
    ($message:ty, $body:expr) => {{
        let mut decoder = Decoder::new();
        decoder.buffer().extend_from_slice(&($body.len() as u32).to_le_bytes());
        decoder.buffer().extend_from_slice(&[KIND_MESSAGE]);
        decoder.buffer().extend_from_slice($body);
        if let Ok(Some(Frame::Message(message))) = decoder.next_frame::<$message>() {
            let mut wire = Vec::new();
            encode_message(&message, &mut wire).expect("it came in a frame");
            decoder.buffer().extend_from_slice(&wire);
            assert_eq!(decoder.next_frame().unwrap(), Some(Frame::Message(message)));
        }
    }};
}

fuzz_target!(|body: &[u8]| {
    if body.len() <= FRAME_BODY_BYTES_MAX {
        check!(FromAgent, body);
        check!(ToAgent, body);
    }
});
