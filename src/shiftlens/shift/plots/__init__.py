"""What ``ConceptShift.plot`` and ``Trajectory.plot`` draw: one file a figure."""
