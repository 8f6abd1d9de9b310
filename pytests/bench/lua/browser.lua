-- 64 different requests as browsers send them: ten header fields, cookies, 600 to 800 bytes. They come in an order
-- without a period that a number of connections could share, so that a connection never sees one request again and
-- again, as behind a proxy that spreads its clients over a few connections.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

local agents = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 " ..
        "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
}
local languages = { "en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.7", "fr-FR,fr;q=0.8,en;q=0.5", "pt-BR,pt;q=0.9" }
local paths = { "/", "/articles/%d", "/users/%d/settings", "/search?q=term%d&page=2", "/static/app.%d.js", "/api/v1/items/%d" }

local function pick(list, n)
    return list[n % #list + 1]
end

function init(args)
    math.randomseed(42)
    requests = {}
    for n = 1, 64 do
        local headers = {
            ["Host"] = "www.example.com",
            ["User-Agent"] = pick(agents, n),
            ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            ["Accept-Language"] = pick(languages, n),
            ["Accept-Encoding"] = "gzip, deflate, br, zstd",
            ["Referer"] = string.format("https://www.example.com/articles/%d?from=list", n * 37),
            ["Cookie"] = string.format(
                "sessionid=%08x%08x%08x%08x; csrftoken=%08x%08x; _ga=GA1.2.%d.%d; theme=dark; consent=%d",
                math.random(2 ^ 31), math.random(2 ^ 31), math.random(2 ^ 31), math.random(2 ^ 31), math.random(2 ^ 31),
                math.random(2 ^ 31), math.random(2 ^ 31), math.random(2 ^ 31), n),
            ["Upgrade-Insecure-Requests"] = "1",
            ["Sec-Fetch-Mode"] = "navigate",
            ["Cache-Control"] = "max-age=0",
        }
        requests[n] = wrk.format("GET", string.format(pick(paths, n), n * 101), headers)
    end
    order = {}
    for n = 1, 4099 do
        order[n] = requests[math.random(64)]
    end
    position = 0
end

function request()
    position = position + 1
    if position > 4099 then
        position = 1
    end
    return order[position]
end
