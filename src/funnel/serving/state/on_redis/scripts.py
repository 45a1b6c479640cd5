"""What Redis does in one step: scripts, which are run whole or not at all.

| key | what it holds |
|---|---|
| `funnel:log` | a hash: the log's id and format, the numbers of the last event and change, the last write |
| `funnel:events` | a stream: event N has the id N-0, its user, and [item, time, kind, value, seen, answer] |
| `funnel:user:U` | a list: the newest events of a user, newest first: "N" and the same |
| `funnel:changes` | a stream: what is known of items and people, one entry each, N-M of change N |
| `funnel:items`, `funnel:forgotten` | hashes: the entry of each item, and of each person's digest |
| `funnel:patches:I` | a hash: the entry of each column that was patched |
| `funnel:shown:U` | a sorted set: "N item" by time; for 90 days |
| `funnel:days` | a hash: how many impressions there are of each day since 1970 |
| `funnel:done:W` | for a while: a write that was done |
| `funnel:recent` | a list: the last 10,000 writes, newest first |
"""

from __future__ import annotations

#: In front of whatever changes something. Arguments: what is written in short, seconds to remember it, the
#: log's name where it has none, and its format.
BEGIN = """
local known = redis.call('GET', KEYS[1])
if known then return known == ARGV[1] and 'done' or 'other' end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('HSETNX', 'funnel:log', 'id', ARGV[3])
redis.call('HSETNX', 'funnel:log', 'format', ARGV[4])
redis.call('HSET', 'funnel:log', 'last', KEYS[1])
redis.call('LPUSH', 'funnel:recent', KEYS[1])
redis.call('LTRIM', 'funnel:recent', 0, 9999)
local now = redis.call('TIME')
local function following(name)
  return string.format('%d', redis.call('HINCRBY', 'funnel:log', name, 1))
end
"""

#: Arguments: events that are kept of a user, and of all; then user, and the event before and behind the
#: moment when it was seen, in turn.
OBSERVE = """
local function drop(number, key, tail)
  redis.call('XDEL', 'funnel:events', number .. '-0')
  if tail and string.match(tail, '^%d+') == number then redis.call('RPOP', key) end
end
for i = 7, #ARGV, 3 do
  local key, number = 'funnel:user:' .. ARGV[i], following('events')
  local event = ARGV[i + 1] .. string.format('%d.%06d', now[1], now[2]) .. ARGV[i + 2]
  redis.call('XADD', 'funnel:events', number .. '-0', 'user', ARGV[i], 'event', event)
  redis.call('LPUSH', key, number .. ' ' .. event)
  if redis.call('LLEN', key) > tonumber(ARGV[5]) then
    local tail = redis.call('LINDEX', key, -1)
    drop(string.match(tail, '^%d+'), key, tail)
  end
end
local beyond = math.min(redis.call('XLEN', 'funnel:events') - tonumber(ARGV[6]), #ARGV)
if beyond > 0 then
  for _, entry in ipairs(redis.call('XRANGE', 'funnel:events', '-', '+', 'COUNT', beyond)) do
    local key = 'funnel:user:' .. entry[2][2]
    drop(string.match(entry[1], '^%d+'), key, redis.call('LINDEX', key, -1))
  end
end
return 1
"""

#: Arguments: where to begin, and how many at most. Returns JSON: [[number, user, [item, time, …]], …], which
#: is read many times as fast as what XRANGE answers.
EVENTS = """
local found = {}
for i, entry in ipairs(redis.call('XRANGE', 'funnel:events', ARGV[1], '+', 'COUNT', ARGV[2])) do
  local number, user, event = string.match(entry[1], '^%d+'), cjson.encode(entry[2][2]), entry[2][4]
  found[i] = '[' .. number .. ',' .. user .. ',' .. event .. ']'
end
return '[' .. table.concat(found, ',') .. ']'
"""

_ENTRIES = """
local number, at = following('changes'), 0
local function put(index, field, kind, id, name, text, deleted, time)
  local old = redis.call('HGET', index, field)
  if old then redis.call('XDEL', 'funnel:changes', old) end
  local entry = number .. '-' .. string.format('%d', at)
  at = at + 1
  redis.call('XADD', 'funnel:changes', entry, 'kind', kind, 'id', id, 'name', name, 'text', text,
             'deleted', deleted, 'time', time)
  redis.call('HSET', index, field, entry)
end
"""

#: Arguments: what to do, item, column, value in writing and time, of each change in turn. `put` gives an item
#: its columns, none of them: those of the bundle; `delete` keeps what is known of them and tells it again;
#: `patch` is of one.
CHANGE = f"""{_ENTRIES}
local function unpatch(id)
  local key = 'funnel:patches:' .. id
  for _, entry in ipairs(redis.call('HVALS', key)) do redis.call('XDEL', 'funnel:changes', entry) end
  redis.call('DEL', key)
end
local function repatch(id)
  local key = 'funnel:patches:' .. id
  for _, entry in ipairs(redis.call('HVALS', key)) do
    local found = redis.call('XRANGE', 'funnel:changes', entry, entry)[1]
    if found then put(key, found[2][6], 'patch', id, found[2][6], found[2][8], 0, found[2][12]) end
  end
end
local function text_of(id)
  local entry = redis.call('HGET', 'funnel:items', id)
  local found = entry and redis.call('XRANGE', 'funnel:changes', entry, entry)[1]
  return found and found[2][8] or ''
end
for i = 5, #ARGV, 5 do
  local what, id, name, text, time = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if what == 'patch' then
    put('funnel:patches:' .. id, name, 'patch', id, name, text, 0, time)
  elseif what == 'delete' then
    put('funnel:items', id, 'item', id, '', text_of(id), 1, time)
    repatch(id)
  else
    put('funnel:items', id, 'item', id, '', text, 0, time)
    unpatch(id)
  end
end
return 1
"""

#: Arguments: user, digest, time. Returns how many events there were.
FORGET_USER = f"""{_ENTRIES}
local key, gone = 'funnel:user:' .. ARGV[5], 0
for _, event in ipairs(redis.call('LRANGE', key, 0, -1)) do
  gone = gone + redis.call('XDEL', 'funnel:events', string.match(event, '^%d+') .. '-0')
end
redis.call('DEL', key)
put('funnel:forgotten', ARGV[6], 'forgotten', ARGV[6], '', '', 0, ARGV[7])
return gone
"""

#: Arguments: where to begin, what to go by (2: the event's time, 5: when it was seen), and the bound. Returns
#: how many of the next 500 were removed, and where to go on. What cannot be decoded, as half a
#: character that an earlier funnel took, goes as well: it would hold up all that comes behind it.
RETAIN_EVENTS = """
local gone, last = 0, ARGV[1]
for _, entry in ipairs(redis.call('XRANGE', 'funnel:events', ARGV[1], '+', 'COUNT', 500)) do
  local user, event = entry[2][2], entry[2][4]
  last = '(' .. entry[1]
  local whole, decoded = pcall(cjson.decode, event)
  if not whole or decoded[tonumber(ARGV[2])] < tonumber(ARGV[3]) then
    redis.call('XDEL', 'funnel:events', entry[1])
    redis.call('LREM', 'funnel:user:' .. user, -1, string.match(entry[1], '^%d+') .. ' ' .. event)
    gone = gone + 1
  end
end
return {gone, last}
"""

#: Arguments: where to begin, the bound, and that of who was forgotten, which is not after it. Returns as the
#: one above; who stays counts as well, so that the next ones are looked at.
RETAIN_CHANGES = """
local gone, last = 0, ARGV[1]
for _, entry in ipairs(redis.call('XRANGE', 'funnel:changes', ARGV[1], '+', 'COUNT', 500)) do
  local kind, id, name, time = entry[2][2], entry[2][4], entry[2][6], entry[2][12]
  last = '(' .. entry[1]
  if tonumber(time) < tonumber(ARGV[2]) then
    local index = kind == 'patch' and 'funnel:patches:' .. id
        or kind == 'item' and 'funnel:items' or 'funnel:forgotten'
    if kind ~= 'forgotten' or tonumber(time) < tonumber(ARGV[3]) then
      redis.call('XDEL', 'funnel:changes', entry[1])
      redis.call('HDEL', index, kind == 'patch' and name or id)
    end
    gone = gone + 1
  end
end
return {gone, last}
"""

#: What was shown on a day, which is what there is of it until it is too old.
_DAYS = """
local function day(at) return math.floor(tonumber(at) / 86400) end
local function uncount(scored)
  for i = 2, #scored, 2 do
    if redis.call('HEXISTS', 'funnel:days', day(scored[i])) == 1 then
      redis.call('HINCRBY', 'funnel:days', day(scored[i]), -1)
    end
  end
end
"""

#: Arguments: impressions kept of a user, seconds that they are kept; then user, item and time in turn.
SHOWN = f"""{_DAYS}
local most, kept = tonumber(ARGV[5]), tonumber(ARGV[6])
local oldest = now[1] - kept
for i = 7, #ARGV, 3 do
  local key = 'funnel:shown:' .. ARGV[i]
  redis.call('ZADD', key, ARGV[i + 2], following('shown') .. ' ' .. ARGV[i + 1])
  redis.call('HINCRBY', 'funnel:days', day(ARGV[i + 2]), 1)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%d', oldest))
  local beyond = redis.call('ZCARD', key) - most
  if beyond > 0 then uncount(redis.call('ZPOPMIN', key, beyond)) end
  redis.call('EXPIRE', key, kept)
end
for _, one in ipairs(redis.call('HKEYS', 'funnel:days')) do
  if tonumber(one) < day(oldest) then redis.call('HDEL', 'funnel:days', one) end
end
return 1
"""

#: Arguments: user. Returns how many impressions there were.
FORGET_SHOWN = f"""{_DAYS}
local key = 'funnel:shown:' .. ARGV[5]
local gone = redis.call('ZCARD', key)
uncount(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'))
redis.call('DEL', key)
return gone
"""
