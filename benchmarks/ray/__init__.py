"""What more workers bring: the parts of one harvest on one worker of Ray, and on two."""
