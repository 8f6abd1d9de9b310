-- Every hundredth request asks the application to block.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

local count = 0

function init(args)
    fast = wrk.format("GET", "/")
    block = wrk.format("GET", "/?block")
end

function request()
    count = count + 1
    return count % 100 == 0 and block or fast
end
