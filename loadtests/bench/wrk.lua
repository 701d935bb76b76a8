-- The requests of wrk (BODY: a POST of it; PATHS: GETs of the paths in that file, in turn; TOKEN), and its figures as JSON.
local body = os.getenv('BODY')
local paths = os.getenv('PATHS')
local token = os.getenv('TOKEN')
local requests = {}

function init(arguments)
  if token then
    wrk.headers['Authorization'] = 'Bearer ' .. token
  end
  if body then
    wrk.method = 'POST'
    wrk.body = body
    wrk.headers['Content-Type'] = 'application/json'
  end
  if paths then
    for path in io.lines(paths) do
      requests[#requests + 1] = wrk.format('GET', path)
    end
  end
end

if paths then
  local turn = 0
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"failed":%d,"unanswered":%d,"mean_ms":%f,"median_ms":%f,"p99_ms":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
