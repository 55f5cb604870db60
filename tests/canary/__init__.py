"""The canary: card data is pushed in at every door of the running bot, and then no byte of it may be anywhere.

cards       the numbers, the ways they are written, and words that stand for the rest of a card
scan        what of them is in some bytes, a folder, a running process
house       the bot as its processes, everything it writes in one folder of its own
wire        requests byte by byte, and who sends them
doors       every route of the application, and what is pushed in at each
malformed   requests that never become one
till        payments with real key presses
readers     everything that whoever reads later can get to see
canary      its way through the house, in parts
"""
