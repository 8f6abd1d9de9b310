-- Shared end of every wrk script: the run's figures as one line of JSON for run.py. Latencies are microseconds.

local ffi = require("ffi")
ffi.cdef("typedef struct { uint64_t count, limit, min, max, data[]; } bench_stats;")

-- wrk adds made-up samples for every latency beyond twice a connection's mean, to correct what it takes for omissions
-- ("stats_correct" in its source). Its connections are a closed loop, where nothing was omitted, and with pipelining
-- the mean it uses is wrong sixteenfold. Each made-up count at m came from the ones at m + expected, so they can be
-- taken back exactly, and the percentiles are those of the answers that came.
local function percentiles(summary, latency, connections, wanted)
    local stats = ffi.cast("bench_stats **", latency)[0]
    local each = math.floor(summary.requests / connections)
    local expected = each > 0 and math.floor(summary.duration / each) or 0
    local last = tonumber(stats.max)
    local function at(n)
        local count = tonumber(stats.data[n])
        if each > 0 and n > expected and n + expected <= last then
            count = count - tonumber(stats.data[n + expected])
        end
        return count
    end
    local total, found, seen, want = 0, {}, 0, 1
    for n = 0, last do
        total = total + at(n)
    end
    for n = 0, last do
        seen = seen + at(n)
        while want <= #wanted and seen >= total * wanted[want] / 100 and total > 0 do
            found[want] = n
            want = want + 1
        end
    end
    return found, total
end

function done(summary, latency, requests)
    local e = summary.errors
    local p, samples = percentiles(summary, latency, tonumber(os.getenv("BENCH_CONNECTIONS")), { 50, 90, 99 })
    io.write(string.format(
        'RESULT {"requests":%d,"duration":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d,' ..
        '"samples":%d,"p50":%d,"p90":%d,"p99":%d}\n',
        summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.timeout, e.status,
        samples, p[1] or 0, p[2] or 0, p[3] or 0))
end
