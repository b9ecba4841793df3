//! The proxies as a program: orders come in on standard input, a line each, and are answered on standard output. It
//! ends with its input.

use std::io;

use impair::control::Control;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut orders, mut answers) = (BufReader::new(stdin()).lines(), stdout());
    let mut control = Control::default();
    while let Some(line) = orders.next_line().await? {
        let answer = control.obey(&line).await;
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
        answers.flush().await?;
    }
    Ok(())
}
