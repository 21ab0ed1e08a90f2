//! Forgetting connections: what a sandbox leaves in the host's tracking table
//! would count against the next one at its address.
//!
//! The kernel's netlink interface to that table, as little as is needed: list
//! the connections that an address began, delete each by its tuple.

use rustix::net::netlink::NETFILTER;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, send, socket_with, sockopt};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Most that the kernel puts into one answer of a listing.
const ANSWER_BYTES_MAX: usize = 32 * 1024;
/// The kernel answers at once, or not at all.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

// Numbers of linux/netlink.h and linux/netfilter/nfnetlink_conntrack.h.
const HEADER_BYTES: usize = 16;
/// `struct nfgenmsg`, which follows the header.
const FAMILY_BYTES: usize = 4;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const NESTED: u16 = 0x8000;
const TUPLE_ORIG: u16 = 1;
const TUPLE_IP: u16 = 1;
const IP_V4_SRC: u16 = 1;
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
const FILTER_REPLY_FLAGS: u16 = 2;
const FILTER_BY_SOURCE: u32 = 1;

/// Removes the connections that `address` began. Blocks.
pub(super) fn forget(address: Ipv4Addr) -> io::Result<()> {
    let (flags, protocol) = (SocketFlags::CLOEXEC, Some(NETFILTER));
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WAIT_MAX))?;
    for tuple in list(&socket, address)? {
        // One that has ended by itself is answered with an error nobody reads.
        send(&socket, &message(DELETE, REQUEST, &tuple), SendFlags::empty())?;
    }
    Ok(())
}

/// The tuples, as attributes, of the connections that `address` began.
fn list(socket: &OwnedFd, address: Ipv4Addr) -> io::Result<Vec<Vec<u8>>> {
    let source = attribute(IP_V4_SRC, &address.octets());
    let tuple = attribute(TUPLE_ORIG | NESTED, &attribute(TUPLE_IP | NESTED, &source));
    // A kernel before 5.8 knows no filter and lists all, so what comes is looked at.
    let mut filter = attribute(FILTER_ORIG_FLAGS, &FILTER_BY_SOURCE.to_ne_bytes());
    filter.extend(attribute(FILTER_REPLY_FLAGS, &0u32.to_ne_bytes()));
    let wanted = [tuple, attribute(FILTER | NESTED, &filter)].concat();
    send(socket, &message(GET, REQUEST | DUMP, &wanted), SendFlags::empty())?;
    let mut found = vec![];
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let (length, _) = recv(socket, &mut answer[..], RecvFlags::empty())?;
        let mut rest = &answer[..length];
        while let Some((kind, body)) = next_message(&mut rest) {
            match kind {
                DONE => return Ok(found),
                ERROR => {
                    let number = body.first_chunk().map_or(0, |n| -i32::from_ne_bytes(*n));
                    return Err(io::Error::from_raw_os_error(number));
                }
                _ => {}
            }
            let tuple = body.get(FAMILY_BYTES..).and_then(|b| find(b, TUPLE_ORIG));
            if let Some(tuple) = tuple
                && find(tuple, TUPLE_IP).and_then(|ip| find(ip, IP_V4_SRC))
                    == Some(&address.octets())
            {
                found.push(attribute(TUPLE_ORIG | NESTED, tuple));
            }
        }
    }
}

fn message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER_BYTES + FAMILY_BYTES + attributes.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
    // Sequence number and port, which the kernel only repeats.
    message.extend([0; 8]);
    message.extend([AddressFamily::INET.as_raw() as u8, 0, 0, 0]);
    message.extend(attributes);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// Takes one message off: its kind, and what follows its header.
fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
    let body = rest.get(HEADER_BYTES..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body))
}

/// The value of the attribute of a kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..length)?;
        if kind & !NESTED == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}
