//! `hearth accounts`: the operator's account management, on the server's own
//! machine.

use crate::operator::{NewKey, OperatorClient};
use crate::output::{self, Output};
use hearth_types::AccountId;
use std::path::PathBuf;

/// Arguments of `hearth accounts`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
These talk to the server that runs on this data directory, over its operator.sock: only the user
that owns the directory, and root, can open it. Keys are printed in the AWS credentials format.")]
pub(crate) struct AccountsArgs {
    /// The data directory of the running server
    #[arg(long, global = true, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    data_dir: PathBuf,
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an account and its first access key, and print the key
    Create {
        /// A name for people; need not be unique
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List accounts and the ids of their keys
    List,
    /// Make a new key for an account, print it, and revoke its older keys
    RotateKey {
        /// The account's twelve digits
        #[arg(value_name = "ACCOUNT")]
        account: AccountId,
    },
}

/// Runs one action and prints what came of it.
pub(crate) async fn run(args: AccountsArgs, output: Output) -> anyhow::Result<()> {
    let mut operator = OperatorClient::connect(&args.data_dir).await?;
    match args.action {
        Action::Create { name } => print_key(&operator.create(name).await?, output),
        Action::RotateKey { account } => print_key(&operator.rotate_key(&account).await?, output),
        Action::List => {
            let accounts = operator.list().await?;
            if output == Output::Json {
                return output::json(&accounts);
            }
            let rows = accounts.into_iter().map(|a| {
                vec![a.account.to_string(), a.name, a.created, a.access_key_ids.join(", ")]
            });
            output::table(&["account", "name", "created", "access keys"], rows, "no accounts")
        }
    }
}

fn print_key(key: &NewKey, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => output::json(key),
        Output::Table => output::text(&format!(
            "# account {}\n[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            key.account,
            key.access_key_id,
            key.secret_access_key.expose(),
        )),
    }
}
