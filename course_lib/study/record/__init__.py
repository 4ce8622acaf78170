"""What is recorded: progress, evidence, repetition, dashboard, report, export."""
