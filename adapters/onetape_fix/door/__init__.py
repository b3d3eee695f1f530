"""The simulated venue behind FIX: an acceptor in front of a world of `onetape_sim`.

`server.opened(config, world)` is the whole of it; `example_sim.cfg` and `example_world.json` are
what it is started with, and `README.md` says what it speaks and what it can do wrong.

    words, dialect     values and versions
    desk, told, log    what the venue has said of which order, and what survives the process
    orders, reports    D G F q H AF E to the world; 8 9 r N from it
    queries            AD AN BB
    marketdata         V x c e to W X Y y d f
    copies             drop copies and trade capture
    counter            one session's side of the desk
    faults, peculiar   what goes wrong on purpose; what other venues do differently
"""
