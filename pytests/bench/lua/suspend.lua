-- The target of those that wait for each other: a request from elsewhere, which asks whether the server is up, must not.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")
wrk.path = "/wait"
