-- Levels, as hooks are told of them: a channel is occupied while it has links or members, a member is there while an epoch
-- has it. What is so and what was told may differ for the grace, or while something else must be told first; then it is due.
local function is_there(topic, user)
  if user then return call('HEXISTS', users(topic), user) == 1 end
  return redis.call('EXISTS', links(topic), users(topic)) > 0
end

local function told_set(topic, user) return user and p..':m:'..topic or p..':told' end
local function was_told(topic, user) return call('SISMEMBER', told_set(topic, user), user or topic) == 1 end
local function due_at(at, topic, user) call('ZADD', p..':due', at, name(topic, user)) end

local function tell_edge(topic, user, up)
  local early
  if user then early = up and not was_told(topic) else early = not up and redis.call('EXISTS', p..':m:'..topic) == 1 end
  if early or call('XLEN', p..':edges') >= EDGES_MAX then return due_at(now + RETRY, topic, user) end
  call(up and 'SADD' or 'SREM', told_set(topic, user), user or topic)
  call('XADD', p..':edges', '*', up and 'up' or 'down', name(topic, user))
end

-- Hooks hear of channels.
local function rise(topic, user)
  if EDGES_MAX == 0 or not channel_of(topic) then return end
  call('ZREM', p..':due', name(topic, user))
  if not was_told(topic, user) then tell_edge(topic, user, true) end
end

local function fall(topic, user)
  if is_there(topic, user) then return end
  if was_told(topic, user) then call('ZADD', p..':due', 'NX', now + GRACE, name(topic, user))
  else call('ZREM', p..':due', name(topic, user)) end
end
