"""What is remembered: progress, evidence, repetition, dashboard, report."""
