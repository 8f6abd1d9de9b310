-- Sixteen requests in one write; wrk counts sixteen answers.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

function init(args)
    local one = {}
    for n = 1, 16 do
        one[n] = wrk.format("GET", "/")
    end
    sixteen = table.concat(one)
end

function request()
    return sixteen
end
