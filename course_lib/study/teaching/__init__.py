"""What a teacher uses: the configuration of a hub, and a report on records that were handed in."""
