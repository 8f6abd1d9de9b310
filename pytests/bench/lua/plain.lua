-- wrk's own minimal GET.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")
