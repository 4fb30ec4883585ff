-- Netstrings, `LENGTH:PAYLOAD,`: made from values, and read from a socket.

local netstring = {}

-- The most bytes that are asked for at once.
local BLOCK = 8192

-- All values in one piece, each as a netstring; a number stands for its text.
function netstring.encode(...)
  local pieces = {}
  for at = 1, select('#', ...) do
    local payload = tostring((select(at, ...)))
    pieces[at] = #payload .. ':' .. payload .. ','
  end
  return table.concat(pieces)
end

-- The number before the colon. `begun` is called once its first byte is there.
local function read_length(sock, begun)
  local digits = ''
  while true do
    local byte, err = sock:receive(1)
    if not byte then return nil, err end
    if digits == '' and begun then begun() end
    if byte == ':' and digits ~= '' then return tonumber(digits) end
    if not byte:find('^%d$') then return nil, 'violated' end
    digits = digits .. byte
  end
end

-- The next string, or nil and why there is none: the socket's own word, or `violated`.
--
-- A block counts as read even where fewer bytes have come in time, so a string with a gap in it is
-- lost together with all that follows. That is what users' clients do: servers must not leave gaps.
function netstring.read(sock, begun)
  local left, err = read_length(sock, begun)
  if not left then return nil, err end
  local pieces = {}
  while left > 0 do
    local block = math.min(left, BLOCK)
    local data, _, partial = sock:receive(block)
    pieces[#pieces + 1] = data or partial
    left = left - block
  end
  local comma
  comma, err = sock:receive(1)
  if not comma then return nil, err end
  if comma ~= ',' then return nil, 'violated' end
  return table.concat(pieces)
end

return netstring
