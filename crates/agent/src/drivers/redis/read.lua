-- Looks at some keys of the selected database, at every element of their values. Answers with the cursor for the next
-- call, then how many keys there were of each type.
local found = redis.call('SCAN', ARGV[1], 'COUNT', 200)
local types = {}
for _, key in ipairs(found[2]) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' then
    redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
    types[kind] = (types[kind] or 0) + 1
  end
end
local answer = {found[1]}
for kind, number in pairs(types) do
  table.insert(answer, kind)
  table.insert(answer, tostring(number))
end
return answer
