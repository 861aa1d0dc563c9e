//! The admin page as data.

/// The commands of the page or of a part of it, each with what the page says that it prints.
pub fn commands(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            commands.push((command.to_owned(), String::new()));
        } else if let (true, Some((_, printed))) = (inside, commands.last_mut()) {
            printed.push_str(line);
            printed.push('\n');
        }
    }
    commands
}
