-- For the one node that hands edges to hooks. ARGV from 7: epoch; the id of the last edge that its journal has, or ''; how
-- many to take; 1 if it may begin where nobody has had them, 0 if not, or `leave` to give them up; the levels that it has
-- passed on since, each as a name and up or down.
--
-- Answers FENCED, if the epoch may not act; OTHER, while another epoch that lives has them; NONE, if nobody has had them
-- and this one may not begin; else HELD, or TAKEN and by whom they were taken before, or '', and the edges behind that id,
-- each as its id, up or down, name and user_info. What was passed on counts only for the epoch that has had them.
local epoch, journaled, count, may_begin = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local holder = call('GET', p..':hooks')
if not may_act(epoch) then return {'FENCED', ''} end
local answer, from = {'HELD', ''}, '-'
if holder ~= epoch and may_begin == 'leave' then return {'OTHER', ''} end
if holder ~= epoch then
  if holder and may_act(holder) then return {'OTHER', ''} end
  if not holder and may_begin ~= '1' then return {'NONE', ''} end
  redis.call('SET', p..':hooks', epoch)
  answer = {'TAKEN', holder or ''}
else
  for i = 11, #ARGV - 1, 2 do call(ARGV[i + 1] == 'up' and 'SADD' or 'SREM', p..':passed', ARGV[i]) end
  local ms, number = journaled:match('^(%d+)%-(%d+)$')
  if ms then
    from = ms..'-'..string.format('%.0f', number + 1)
    call('XTRIM', p..':edges', 'MINID', from)
  end
end
if may_begin == 'leave' then
  redis.call('SET', p..':hooks', 'left')
  return {'OTHER', ''}
end
for _, entry in ipairs(call('XRANGE', p..':edges', from, '+', 'COUNT', count)) do
  local fields = entry[2]
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = fields[1]
  answer[#answer + 1] = fields[2]
  answer[#answer + 1] = fields[4] or ''
end
return answer
