//! A VMM that is made ready ahead: its guest's memory is a file of which nobody
//! knows yet what is in it.

use crate::common::{Stage, blocking};
use crate::trial;
use hearth_page_server::{Access, FileSpec};
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

const MEMORY_MIB: u64 = 256;

pub(crate) fn test() -> Trial {
    trial("vmm::one_that_waits_for_its_state_reads_no_memory", reads_no_memory)
}

async fn reads_no_memory() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let spec =
        FileSpec { size: MEMORY_MIB << 20, writable: false, uid: Some(0), access: Access::Mapped };
    let clone = stage.server.create(spec).await?;
    let (qmp, theirs) = UnixStream::pair()?;
    let mut vmm = Command::new("qemu-system-x86_64")
        .args(["-M", "microvm,acpi=on,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=off,memory-backend=m"])
        .args(["-accel", "tcg", "-cpu", "max", "-m", &MEMORY_MIB.to_string()])
        .args(["-nodefaults", "-no-user-config", "-nographic", "-bios", "qboot.rom"])
        .arg("-object")
        .arg(format!(
            "memory-backend-file,id=m,size={MEMORY_MIB}M,share=off,readonly=on,rom=off,mem-path={}",
            clone.path().display()
        ))
        .args(["-incoming", "defer", "-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    let waits = blocking(move || {
        let mut said = BufReader::new(qmp.try_clone()?);
        let mut line = String::new();
        (&qmp).write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-status\"}")?;
        // Its main loop answers, when all devices are there.
        while !line.contains("inmigrate") {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    })
    .await;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", vmm.id()))?;
    let (log, stats) = (clone.log().await?, clone.stats().await?);
    vmm.kill()?;
    vmm.wait()?;
    waits?;
    assert!(maps.contains(clone.path().to_str().unwrap()), "{maps}");
    assert_eq!((stats.requests, log.touched.len()), (0, 0));
    Ok(())
}
