"""The chapters' content, one folder each, named by the slug; `study` finds what is inside."""
