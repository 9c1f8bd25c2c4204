# A shell on the console until it is left.
setsid cttyhack sh
