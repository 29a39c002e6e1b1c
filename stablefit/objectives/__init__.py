"""What a run is trained for: a file a kind of task, and what they all give (`objective.Objective`)."""
