-- Reserve the next slot of an account, and of an operation with a rate of its own, together.
--
-- KEYS  1 slots: sorted set of the reserved slots, scored by their time
--       2 pace: hash of what refusals have left of each rate, and until when nobody passes
--       3 lane: until when the operation's own rate is used up
-- ARGV  1 microseconds between two slots of the account   2 the same of the operation, 0 without one
--       3 the operation's name                            4 the part of a rate that a step gives back
--       5 microseconds between two steps                  6 microseconds from now that the caller cannot use
--
-- Answers { microseconds from now to the slot, the account's factor, the operation's factor }, the
-- factors in millionths. All times are this server's, in microseconds.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function text(number)
  return string.format('%.0f', number)
end

-- What a scope's refusals have left of its rate, with the steps that are due given back.
local function factor_of(scope)
  local kept = redis.call('HMGET', KEYS[2], 'factor:' .. scope, 'changed:' .. scope)
  local factor = tonumber(kept[1] or 1000000)
  if factor < 1000000 and now - tonumber(kept[2] or 0) >= tonumber(ARGV[5]) then
    factor = math.min(1000000, factor + tonumber(ARGV[4]))
    redis.call('HSET', KEYS[2], 'factor:' .. scope, text(factor), 'changed:' .. scope, text(now))
  end
  return factor
end

local factor = factor_of('account')
local paused = tonumber(redis.call('HGET', KEYS[2], 'paused') or 0)

local interval = tonumber(ARGV[1]) * 1000000 / factor
local slot = math.max(now + tonumber(ARGV[6]), paused)
local lane_factor = 1000000
if tonumber(ARGV[2]) > 0 then
  lane_factor = factor_of(ARGV[3])
  slot = math.max(slot, tonumber(redis.call('GET', KEYS[3]) or 0))
end

-- The first gap that is wide enough, among the slots that still matter.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - interval))
for _, taken in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], text(slot - interval), '+inf')) do
  taken = tonumber(taken)
  if taken - slot >= interval then
    break
  end
  slot = math.max(slot, taken + interval)
end

redis.call('ZADD', KEYS[1], text(slot), text(slot))
redis.call('PEXPIRE', KEYS[1], 3600000)
if tonumber(ARGV[2]) > 0 then
  local free = slot + tonumber(ARGV[2]) * 1000000 / lane_factor
  redis.call('SET', KEYS[3], text(free), 'PX', text((free - now) / 1000 + 1000))
end
return { math.ceil(slot - now), factor, lane_factor }
