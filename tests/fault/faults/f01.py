"""F1: the server is killed with kill -9 at a random moment, again and again, under eight recording clients and three watchers."""
import time

TEXT = "kill -9 of the server at random under 8 recording clients"
ROUNDS, FULL = 300, 10000
SECONDS = 97


def run(run):
    server = run.server()
    run.apps(server, 4)
    run.load(server, apps=4, watchers=3)
    for number in run.turns():
        time.sleep(run.random.uniform(0.0, 0.2))
        server.kill()
        if number % 25 == 24:
            run.verify(server)
        server.start()
        run.count("kills")
        if number % 5 == 4:
            run.wait_progress(1)
    run.wait_progress(50)
    run.finish(server)
