"""The gateway: the process that holds FIX sessions, and the lines by which others use them.

line       what a session is to application code
hub        `Gateway`: the sessions of one config, in whatever process
process    the gateway as a process of its own; `ensure` starts it where it is not up
remote     a line over the process's socket
keeping    what was said on the wire, shipped to the tape's database
"""
