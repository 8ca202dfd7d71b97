-- For the one node that hands edges to hooks. ARGV from 7: epoch; the id of the last edge that its journal has, or ''; how
-- many to take; the levels that it has passed on since, each as a name and up or down.
--
-- Answers nothing while another epoch that lives has them. Otherwise the edges behind that id, each as its id, up or down,
-- name, and 1 if the level that was passed on last is up.
local epoch, journaled, count = ARGV[7], ARGV[8], tonumber(ARGV[9])
local holder = call('GET', p..':hooks')
if not may_act(epoch) then return {} end
if holder ~= epoch then
  if holder and may_act(holder) then return {} end
  redis.call('SET', p..':hooks', epoch)
end
for i = 10, #ARGV, 2 do call(ARGV[i + 1] == 'up' and 'SADD' or 'SREM', p..':passed', ARGV[i]) end
local ms, number = journaled:match('^(%d+)%-(%d+)$')
local from = '-'
if ms then
  from = ms..'-'..string.format('%.0f', number + 1)
  call('XTRIM', p..':edges', 'MINID', from)
end
local answer = {}
for _, entry in ipairs(call('XRANGE', p..':edges', from, '+', 'COUNT', count)) do
  local direction, text = entry[2][1], entry[2][2]
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = direction
  answer[#answer + 1] = text
  answer[#answer + 1] = call('SISMEMBER', p..':passed', text)
end
return answer
