//! Results as Markdown.

/// Prints a table.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", header.join(" | "));
    println!("|{}", " --- |".repeat(header.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}

/// Prints whether a goal was reached.
pub fn goal(what: &str, reached: bool) {
    println!("- {what}: **{}**", if reached { "reached" } else { "NOT reached" });
}
