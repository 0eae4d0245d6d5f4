"""Many machines: the executor on Ray (extra ``ray``). Nothing but the command line imports it."""
