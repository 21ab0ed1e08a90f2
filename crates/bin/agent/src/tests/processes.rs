//! Real processes as runtimes: their output, their end.

use super::harness::{IDLE, PEAK, Sandbox};
use crate::process::{Command, SpawnError, spawn};
use hearth_agent_proto::{ExitStatus, FromAgent, ResultKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A runtime in shell: takes one event and says so.
const TAKE_ONE: &str = r#"
exec 3<>$API
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n' >&3
while IFS= read -r line <&3; do
    case $line in Lambda-Runtime-Aws-Request-Id:*) id=${line#*: }; id=${id%$'\r'};; $'\r') break;; esac
done
echo "running $id"
"#;

/// And answers it.
const ANSWER_ONE: &str = r#"
printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok' "$id" >&3
read -r line <&3
"#;

fn exited(status: ExitStatus) -> FromAgent {
    FromAgent::RuntimeExited {
        status,
        in_event: false,
        out_of_memory: false,
        memory_peak_bytes: PEAK,
    }
}

#[tokio::test]
async fn a_runtime_that_ends_in_an_event_is_told_from_one_that_ends_between() {
    let mut sandbox = Sandbox::running(&format!("{TAKE_ONE}\nexit 4")).await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    sandbox.invoke("a", b"1").await;
    let end = sandbox.message().await;
    assert!(matches!(end, FromAgent::RuntimeExited { in_event: true, .. }), "{end:?}");

    let mut sandbox = Sandbox::running(&format!("{TAKE_ONE}{ANSWER_ONE}\nexit 4")).await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    sandbox.invoke("a", b"1").await;
    sandbox.result().await;
    assert_eq!(sandbox.message().await, exited(ExitStatus::Exited(4)));
}

#[tokio::test]
async fn output_comes_before_the_answer_it_was_written_before() {
    let script = format!("echo init $GREETING; echo err >&2\n{TAKE_ONE}{ANSWER_ONE}\nexit 3");
    let mut sandbox = Sandbox::running(&script).await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    sandbox.invoke("a", b"1").await;
    let (head, body) = sandbox.result().await;
    assert_eq!((head.kind, body.as_slice()), (ResultKind::Response, &b"ok"[..]));
    assert_eq!(sandbox.log, b"init hello\nerr\nrunning a\n");
    assert_eq!(sandbox.message().await, exited(ExitStatus::Exited(3)));
}

#[tokio::test]
async fn endless_output_does_not_hold_up_an_answer() {
    let mut sandbox = Sandbox::running(&format!("yes &\n{TAKE_ONE}{ANSWER_ONE}\nwait")).await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    sandbox.invoke("a", b"1").await;
    assert_eq!(sandbox.result().await.1, b"ok");
}

#[tokio::test]
async fn a_killed_runtime_is_reported_with_its_last_words() {
    let mut sandbox = Sandbox::running("echo bye; kill -9 $$").await;
    assert_eq!(sandbox.message().await, exited(ExitStatus::Signaled(9)));
    assert_eq!(sandbox.log, b"bye\n");
}

#[tokio::test]
async fn what_the_runtime_left_behind_dies_with_it() {
    let mut sandbox = Sandbox::running("sleep 1000 & echo $!; exit 0").await;
    assert_eq!(sandbox.message().await, exited(ExitStatus::Exited(0)));
    let pid: i32 = String::from_utf8_lossy(&sandbox.log).trim().parse().unwrap();
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty());
    // No such process: dead already.
    if let Ok(pidfd) = pidfd {
        let mut end = [PollFd::new(&pidfd, PollFlags::IN)];
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut end, Some(&limit)), Ok(1), "{pid} is alive");
    }
}

#[tokio::test]
async fn only_the_three_streams_are_inherited() {
    let mut sandbox = Sandbox::running("echo /proc/$$/fd/*; read x || echo eof").await;
    assert_eq!(sandbox.message().await, exited(ExitStatus::Exited(0)));
    let log = String::from_utf8_lossy(&sandbox.log).into_owned();
    // Bash keeps the script it reads open as 255 or as the first free one.
    let open = log.lines().next().unwrap().split(' ').filter_map(|p| p.rsplit('/').next());
    let inherited: Vec<_> = open.filter(|fd| *fd != "255" && *fd != "3").collect();
    assert_eq!(inherited, ["0", "1", "2"]);
    assert!(log.ends_with("eof\n"), "standard input is empty: {log}");
}

#[tokio::test]
async fn the_session_ends_with_the_workers_stream() {
    let mut sandbox = Sandbox::running(IDLE).await;
    sandbox.hang_up().await;
    assert!(sandbox.ended().await.is_ok());
}

#[test]
fn a_program_that_cannot_run_is_told_from_one_that_cannot_be_set_up() {
    let command =
        |program| Command { program, environment: &[], root: None, cgroup: None, line: false };
    for program in [c"/nowhere/bootstrap", c"/etc/hostname"] {
        assert!(matches!(spawn(&command(program)), Err(SpawnError::Exec(_))), "{program:?}");
    }
}
