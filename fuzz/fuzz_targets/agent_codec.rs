//! The worker's end of the agent stream against hostile bytes: no input may
//! panic, hold more than it was given, or decode differently when the stream
//! is cut differently. The first byte of the input says how to cut it.
#![no_main]

use hearth_agent_proto::{Decoder, FRAME_BODY_BYTES_MAX, Frame, FromAgent};
use libfuzzer_sys::fuzz_target;

/// Decodes `wire`, fed in pieces; the frames, and whether it ended in error.
fn decode(wire: &[u8], piece: usize) -> (Vec<Frame<FromAgent>>, bool) {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    for piece in wire.chunks(piece) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Frame::Bulk(bytes) = &frame {
                        assert!(bytes.len() <= FRAME_BODY_BYTES_MAX);
                    }
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, wire)) = input.split_first() else { return };
    assert_eq!(decode(wire, usize::from(*cut) + 1), decode(wire, wire.len().max(1)));
});
