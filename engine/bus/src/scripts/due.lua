-- Tells the levels that are due; what may not be told yet stays. ARGV from 7: how many at a time. Answers how many are left.
for _, text in ipairs(call('ZRANGE', p..':due', '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[7]))) do
  call('ZREM', p..':due', text)
  local topic, user = named(text)
  local up = is_there(topic, user)
  if up ~= was_told(topic, user) then tell_edge(topic, user, up) end
end
return call('ZCARD', p..':due')
