-- Redis's clock, prepended to every script. It times workers, queues and schedules, whatever the machines' clocks say.
-- Redis replicates what a script writes, not the script, so a script may read the time.
local function format_time(seconds, micros)
  -- The sandbox has no os.date. Days to a civil date: https://howardhinnant.github.io/date_algorithms.html
  local shifted = math.floor(seconds / 86400) + 719468
  local era = math.floor(shifted / 146097)
  local day_of_era = shifted - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local shifted_month = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * shifted_month + 2) / 5) + 1
  local month = shifted_month < 10 and shifted_month + 3 or shifted_month - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  local rest = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day, math.floor(rest / 3600),
    math.floor(rest % 3600 / 60), rest % 60, micros)
end

local function read_clock()
  local time = redis.call('TIME')
  return tonumber(time[1]), tonumber(time[2])
end

-- A Redis at maxmemory refuses a script only at its first write, and only if that write needs memory. A script that ends
-- or moves tasks begins with this write that needs none: otherwise nothing could free memory again.
local function pass_when_full()
  redis.call('DEL', 'longtasks:probe')
end
