"""What only a fault shows: power cuts, full disks, hostile peers, a clock that steps; and a report of what held."""
