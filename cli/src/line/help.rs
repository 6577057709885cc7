//! The prompt and the help texts, from one table of all commands.

/// What people are asked before each command.
pub(crate) const PROMPT: &str = "Enter one of the following commands (BCM, ATU, SRB, SRM, RDM, UPD, OUT, MSG, ROOMS, \
                                 INVITE, LEAVE, ACCEPT, REJECT, TRANSFERS, CANCEL, FIND, LAST, VERIFY, HELP): ";

/// One command of line mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandHelp {
    /// As in the prompt.
    pub(crate) name: &'static str,
    /// The same for people who are used to other chat programs.
    pub(crate) alias: &'static str,
    /// What follows the name; empty if nothing does.
    pub(crate) arguments: &'static str,
    /// What it does, in one sentence.
    pub(crate) does: &'static str,
    /// A line that could be typed.
    pub(crate) example: &'static str,
}

impl CommandHelp {
    /// The name and what follows it.
    pub(crate) fn usage(&self) -> String {
        match self.arguments {
            "" => self.name.to_owned(),
            arguments => format!("{} {arguments}", self.name),
        }
    }
}

/// All commands, in the order of the prompt.
pub(crate) const COMMANDS: &[CommandHelp] = &[
    command("BCM", "/all", "text", "Sends a message to everyone.", "BCM Hello, everyone!"),
    command("ATU", "/who", "", "Shows who else is active now.", "ATU"),
    command("SRB", "/room", "user...", "Builds a separate room of you and these users.", "SRB yoda luke"),
    command("SRM", "/say", "room-id text", "Sends a message to a separate room.", "SRM 1 Hello, you two!"),
    command(
        "RDM",
        "/read",
        "b|s time",
        "Shows broadcast messages (b) or messages of your separate rooms (s) that are later than a time.",
        "RDM b 1 Jun 2022 16:00:00",
    ),
    command("UPD", "/send", "user file", "Sends a file to an active user, in the background.", "UPD yoda film.mp4"),
    command("OUT", "/quit", "", "Logs out.", "OUT"),
    command("MSG", "/msg", "user text", "Sends a message to one user, who may be offline.", "MSG yoda Hello!"),
    command("ROOMS", "/rooms", "", "Shows the separate rooms that you are in.", "ROOMS"),
    command("INVITE", "/invite", "room-id user", "Adds an active user to a separate room.", "INVITE 1 leia"),
    command("LEAVE", "/leave", "room-id", "Leaves a separate room.", "LEAVE 1"),
    command("ACCEPT", "/accept", "offer-id", "Accepts a file that somebody offers you.", "ACCEPT 1"),
    command("REJECT", "/reject", "offer-id", "Rejects a file that somebody offers you.", "REJECT 1"),
    command("TRANSFERS", "/transfers", "", "Shows the transfers and offers that have not ended.", "TRANSFERS"),
    command("CANCEL", "/cancel", "transfer-id", "Cancels a transfer or an offer.", "CANCEL 1"),
    command(
        "FIND",
        "/find",
        "text",
        "Shows the newest messages that you may read and that have all these words; at the end, * is any ending.",
        "FIND invoice 2022*",
    ),
    command(
        "LAST",
        "/last",
        "b|room-id [count]",
        "Shows the newest broadcast messages (b) or messages of a separate room, 20 if you do not say how many.",
        "LAST b 50",
    ),
    command(
        "VERIFY",
        "/verify",
        "user [yes]",
        "Shows the safety number to compare with that person; with yes, trusts their devices and no others.",
        "VERIFY yoda",
    ),
    command("HELP", "/help", "[command]", "Shows all commands, or explains one.", "HELP RDM"),
];

const fn command(
    name: &'static str,
    alias: &'static str,
    arguments: &'static str,
    does: &'static str,
    example: &'static str,
) -> CommandHelp {
    CommandHelp { name, alias, arguments, does, example }
}

/// The command with this name or alias.
pub(crate) fn find(word: &str) -> Option<&'static CommandHelp> {
    COMMANDS.iter().find(|command| command.name == word || command.alias == word)
}

/// What `HELP` shows: every command on a line, or one with its alias and an example.
pub(crate) fn text(topic: Option<&CommandHelp>) -> String {
    if let Some(command) = topic {
        let CommandHelp { alias, does, example, .. } = command;
        return format!("{} (or {alias})\n  {does}\n  For example: {example}", command.usage());
    }
    let width = COMMANDS.iter().map(|command| command.usage().len()).max().unwrap_or(0);
    let lines: Vec<String> = COMMANDS
        .iter()
        .map(|command| format!("  {:width$}  {:10}  {}", command.usage(), command.alias, command.does))
        .collect();
    format!("Commands, their other names, and what they do:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_lists_all_commands_of_the_table() {
        let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        assert_eq!(PROMPT, format!("Enter one of the following commands ({}): ", names.join(", ")));
    }

    #[test]
    fn commands_are_found_by_both_names_and_no_other() {
        for command in COMMANDS {
            assert_eq!(find(command.name), Some(command));
            assert_eq!(find(command.alias), Some(command));
        }
        for other in ["", "bcm", "/ALL", "BCMX", "LOGIN"] {
            assert_eq!(find(other), None, "{other:?}");
        }
    }

    #[test]
    fn help_shows_every_command_or_explains_one() {
        let all = text(None);
        for command in COMMANDS {
            assert!(all.contains(&command.usage()) && all.contains(command.alias) && all.contains(command.does));
        }
        let one = text(find("/read"));
        assert!(one.starts_with("RDM b|s time (or /read)\n") && one.contains("1 Jun 2022 16:00:00"), "{one}");
    }
}
