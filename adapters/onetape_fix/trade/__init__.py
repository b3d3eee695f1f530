"""Trading over FIX: the ports of a venue and a feed, on lines to sessions.

words, ids, orders      what orders are called, here and there
reading, executions     execution reports, read and folded into the order book
rejects, capture        9 3 j; trade capture reports
joining                 drop copies and clearing beside the order session
outgoing, history       requests as messages; messages read back as requests
queries, asking         questions and answers
marketdata, listing     W X Y; security lists
lines, flow, marks      the line, what is heard on it, how far it was passed on
venue, feed, config     what the entry point gives
"""
