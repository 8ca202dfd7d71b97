-- An epoch gives up its link to a topic, or a user of it.
local function leave_topic(topic, epoch)
  call('SREM', held(epoch), name(topic))
  if call('HDEL', links(topic), epoch) == 0 then return end
  if redis.call('EXISTS', links(topic)) == 0 then
    local app, channel = channel_of(topic)
    if app then call('SREM', p..':ch:'..app, channel) end
  else
    tell_elsewhere(topic)
  end
  fall(topic)
end

local function leave_user(topic, user, epoch)
  call('SREM', held(epoch), name(topic, user))
  local epochs = call('HGET', users(topic), user)
  local from, to = (epochs or ''):find(','..epoch..',', 1, true)
  if not from then return end
  epochs = epochs:sub(1, from)..epochs:sub(to + 1)
  if epochs ~= ',' then return call('HSET', users(topic), user, epochs) end
  call('HDEL', users(topic), user)
  call('HDEL', infos(topic), user)
  tell_links(topic, '-', user)
  fall(topic, user)
  fall(topic)
end

local function leave(topic, user, epoch)
  if user then leave_user(topic, user, epoch) else leave_topic(topic, epoch) end
end
