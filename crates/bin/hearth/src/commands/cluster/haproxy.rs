//! The configuration of HAProxy, as text. Its comments are for whoever reads it there;
//! those here say where the figures come from.

use super::front_end::FrontEnd;
use hearth_frontend::FrontendOptions;
use hearth_lambda_api::{ApiError, ErrorCode};
use hearth_types::TimeoutS;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest that a front end may take to answer beyond a function's longest timeout: its
/// sandbox is placed, restored or booted first, where guests are emulated in a minute or two.
const START_MAX: Duration = Duration::from_secs(180);
/// Connections of a front end that are left to whatever asks it directly: health checks.
const CONNECTIONS_LEFT: usize = 24;
/// Largest head of a request, as a front end takes it, and room to work on it.
const BUFFER_BYTES: usize = 72 * 1024;
/// Connects tried for a request, after the first, each to another front end.
const RETRIES: u32 = 3;

/// The configuration for front ends that are reached here.
pub(super) fn config(listen: SocketAddr, front_ends: &[FrontEnd]) -> String {
    let options = FrontendOptions::default();
    let server_s = u64::from(TimeoutS::MAX) + START_MAX.as_secs();
    let connections = options.connections_max - CONNECTIONS_LEFT;
    // As long as a front end waits; while a body comes it waits less, and answers itself.
    let idle_s = options.header_timeout.as_secs();
    let servers = front_ends.iter().map(|f| format!("    server {} {}\n", f.node, f.address));
    let servers: String = servers.collect();
    format!(
        r#"# The load balancer of a Hearth cluster, made by `hearth cluster balancer-config`.

global
    user haproxy
    group haproxy
    log stdout format raw local0 notice
    # A signature and a client context make long headers.
    tune.bufsize {BUFFER_BYTES}

defaults
    log global
    # HTTP, not TCP: only so is each request balanced, and not each connection, which an
    # SDK keeps for hours. Nothing that is signed is changed.
    mode http
    # A connection to a front end is for one request. One that was idle may be closed just
    # when a request is sent on it, and then nobody knows whether the function runs. So a
    # front end that stops has no connection left but those of running invokes.
    option http-server-close
    # Who hung up while waiting for a place is not served any more.
    option abortonclose
    timeout http-request {idle_s}s
    timeout http-keep-alive {idle_s}s
    timeout client {idle_s}s
    timeout connect 1s
    timeout queue 10s
    timeout check 1s
    # A function may take {longest} s, and its start comes before.
    timeout server {server_s}s

    # A request whose connect failed goes to another front end at once. That and no other: a
    # front end that got a byte of an invoke may have run it. Never add to `retry-on`.
    retries {RETRIES}
    option redispatch 1
    retry-on conn-failure

    # Failures in the Lambda API's form; SDKs decide by it whether to try again.
{errors}
frontend lambda
    # For TLS: bind ADDR:PORT ssl crt FILE
    bind {listen}
    # Those that are not ready still serve what they can; if that is all, they are asked.
    use_backend not-ready if {{ nbsrv(front-ends) eq 0 }}
    default_backend front-ends

backend front-ends
    # Invokes take from a millisecond to minutes: who has least to do is next.
    balance leastconn
    option httpchk
    http-check send meth GET uri /hearth/v1/ready ver HTTP/1.1 hdr Host hearth
    http-check expect status 200
    # One that does not answer, or is cut off from its cluster, leaves within two seconds; a refused
    # connect has it looked at at once. What runs there goes on: it is only given nothing new.
    # One that comes back has to fill its caches first, so it is not given all at once.
    default-server check inter 1s fastinter 200ms downinter 1s
    default-server fall 2 rise 2 observe layer4 error-limit 1 on-error sudden-death
    default-server maxconn {connections} slowstart 10s
{servers}
backend not-ready
    balance leastconn
    option httpchk
    http-check send meth GET uri /hearth/v1/health ver HTTP/1.1 hdr Host hearth
    http-check expect status 200
    default-server check inter 1s fastinter 200ms downinter 1s
    default-server fall 2 rise 1 observe layer4 error-limit 1 on-error sudden-death
    default-server maxconn {connections}
{servers}"#,
        longest = TimeoutS::MAX,
        errors = errors(),
    )
}

/// What clients are told when no front end answers.
fn errors() -> String {
    let told = [
        (502, "The front end that had this request is gone. It may have been carried out."),
        (503, "No front end can take this request now."),
        (504, "The front end that had this request does not answer. It may have been carried out."),
    ];
    let error = |(status, message): (u16, &str)| {
        let error = ApiError::new(ErrorCode::Service, message);
        // A quote of the other kind would end it.
        let body = String::from_utf8_lossy(&error.body()).replace('\'', "");
        format!(
            "    http-error status {status} content-type application/json string '{body}' \
             hdr x-amzn-errortype {}\n",
            error.code.as_str()
        )
    };
    told.map(error).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<String> {
        let front_ends = ["a=10.0.0.1:9070".parse().unwrap()];
        let text = config("0.0.0.0:9070".parse().unwrap(), &front_ends);
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn nothing_is_sent_twice() {
        let retries: Vec<_> =
            lines().into_iter().filter(|l| l.starts_with("retry-on") || l.contains("L7")).collect();
        assert_eq!(retries, ["retry-on conn-failure"]);
        assert!(lines().iter().any(|l| l == "option http-server-close"), "see there");
    }

    #[test]
    fn the_longest_invoke_gets_through() {
        let longest = lines().iter().find_map(|l| {
            l.strip_prefix("timeout server ")?.strip_suffix('s')?.parse::<u32>().ok()
        });
        assert!(longest.unwrap() > TimeoutS::MAX);
    }
}
