-- Levels, as hooks are told of them: a channel is occupied while it has links or members, a member is there while an epoch
-- has it. What is so and what was told may differ for the grace, or while something else must be told first; then it is due.
local function is_there(topic, user)
  if user then return call('HEXISTS', users(topic), user) == 1 end
  return redis.call('EXISTS', links(topic), users(topic)) > 0
end

local function told_set(topic, user) return user and p..':m:'..topic or p..':told' end
local function was_told(topic, user) return call('SISMEMBER', told_set(topic, user), user or topic) == 1 end
local function due_at(at, topic, user) call('ZADD', p..':due', at, name(topic, user)) end

-- Hooks are told of channels, of their members, and of users who are signed in: the nameless members of a user's own topic.
-- Nothing is kept for them before a node has come that has hooks.
local listens
local function has_level(topic, user)
  if EDGES_MAX == 0 or user ~= '' and not channel_of(topic) then return false end
  if listens == nil then listens = redis.call('EXISTS', p..':hooks') == 1 end
  return listens
end

local function tell_edge(topic, user, up)
  local early
  if not user then early = not up and redis.call('EXISTS', p..':m:'..topic) == 1
  elseif up then early = channel_of(topic) and not was_told(topic) end
  if early or call('XLEN', p..':edges') >= EDGES_MAX then return due_at(now + RETRY, topic, user) end
  call(up and 'SADD' or 'SREM', told_set(topic, user), user or topic)
  local info = up and user and call('HGET', infos(topic), user) or ''
  call('XADD', p..':edges', '*', up and 'up' or 'down', name(topic, user), 'info', info)
end

local function rise(topic, user)
  if not has_level(topic, user) then return end
  call('ZREM', p..':due', name(topic, user))
  if not was_told(topic, user) then tell_edge(topic, user, true) end
end

local function fall(topic, user)
  if is_there(topic, user) then return end
  if was_told(topic, user) then call('ZADD', p..':due', 'NX', now + GRACE, name(topic, user))
  else call('ZREM', p..':due', name(topic, user)) end
end
