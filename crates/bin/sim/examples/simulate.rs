//! Runs scenarios and prints their figures:
//! `cargo run --release -p hearth-sim --example simulate -- steady 10000 1000000 60 1`
//! (scenario or `all`, workers, functions, minutes, seed).

use hearth_sim::{Kind, Scenario, run};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let kind = args.next().unwrap_or_else(|| "all".to_owned());
    let mut number = |usual: u64| args.next().map_or(Ok(usual), |text| text.parse::<u64>());
    let (workers, functions) = (number(100)? as u32, number(5_000)? as u32);
    let (minutes, seed) = (number(60)? as u32, number(1)?);
    let kinds = if kind == "all" { Kind::ALL.to_vec() } else { vec![kind.parse()?] };
    for kind in kinds {
        let began = Instant::now();
        println!("{}", run(&Scenario::new(kind, workers, functions, minutes), seed)?);
        println!("  took          {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
