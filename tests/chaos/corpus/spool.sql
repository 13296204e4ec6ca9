-- Damage to one message, :id, or to what stands around it; behind each line what becomes of it:
-- held (with words of the reason), or goes. All others are delivered, and nothing fails.
UPDATE recipients SET rcpt_to = CAST(x'75736572ff40302e74657374' AS TEXT) WHERE message_id = :id -- held: an address of it cannot be read
UPDATE recipients SET rcpt_to = x'ff00' WHERE message_id = :id -- held: an address of it cannot be read
UPDATE recipients SET rcpt_to = CAST(x'c322' AS TEXT) WHERE message_id = :id -- held: an address of it cannot be read
UPDATE recipients SET dsn = CAST(x'4e4f54494659c3' AS TEXT) WHERE message_id = :id -- held: an address of it cannot be read
UPDATE messages SET mail_from = CAST(x'ff406f726967696e2e74657374' AS TEXT) WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET mail_from = x'edb080' WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET stream = CAST(x'fe' AS TEXT) WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET options = CAST(x'7b2263616d706169676e223a22ff227d' AS TEXT) WHERE id = :id -- held: what its client asked for cannot be read
UPDATE messages SET options = x'7b' WHERE id = :id -- held: what its client asked for cannot be read
UPDATE messages SET options = 7 WHERE id = :id -- held: what its client asked for cannot be read
UPDATE messages SET priority = 9 WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET priority = 'x', envelope = NULL WHERE id = :id -- goes
UPDATE messages SET blocks = 0 WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET blocks = 'none' WHERE id = :id -- held: what is known of it cannot be read
UPDATE messages SET blocks = 3, envelope = NULL WHERE id = :id -- held: has no block 1
UPDATE messages SET accepted_at = 9e999, envelope = NULL WHERE id = :id -- goes
UPDATE messages SET accepted_at = 'then', envelope = NULL WHERE id = :id -- goes
UPDATE messages SET expires_at = 9e999, envelope = NULL WHERE id = :id -- goes
UPDATE messages SET checksum = 7, envelope = NULL WHERE id = :id -- held: its content is not what was accepted
UPDATE messages SET checksum = 'x', envelope = NULL WHERE id = :id -- held: its content is not what was accepted
UPDATE messages SET size = 'x', envelope = NULL WHERE id = :id -- held: and 0 were accepted
UPDATE messages SET size = -1, envelope = NULL WHERE id = :id -- held: and -1 were accepted
UPDATE messages SET first_recipient = 0, recipients = 10000000, envelope = NULL WHERE id = :id -- goes
UPDATE messages SET first_recipient = -9223372036854775807, recipients = 9223372036854775807, envelope = NULL WHERE id = :id -- goes
UPDATE messages SET first_recipient = 'x', envelope = NULL WHERE id = :id -- goes
UPDATE messages SET ended_at = 5 WHERE id = :id -- goes
UPDATE messages SET remaining = 9223372036854775807 WHERE id = :id -- goes
UPDATE messages SET eight_bit = 'x', smtputf8 = 'y', dotted = x'00', envelope = NULL WHERE id = :id -- goes
UPDATE contents SET content = CAST(x'ff' AS TEXT) WHERE message_id = :id -- held: were accepted
UPDATE contents SET content = 7 WHERE message_id = :id -- held: were accepted
UPDATE contents SET content = (SELECT content FROM contents WHERE message_id != :id LIMIT 1) WHERE message_id = :id -- held: accepted
UPDATE recipients SET attempts = 'x', warned = x'ff' WHERE message_id = :id -- goes
UPDATE recipients SET attempts = 9223372036854775807 WHERE message_id = :id -- goes
UPDATE recipients SET attempts = -5, due_at = -9e999 WHERE message_id = :id -- goes
UPDATE recipients SET history = x'ff0a' WHERE message_id = :id -- goes
UPDATE recipients SET message_id = 'x' WHERE message_id = :id -- held: there are recipients, and no message
UPDATE recipients SET message_id = -5 WHERE message_id = :id -- held: there are recipients, and no message
UPDATE queues SET priority = 'x' WHERE id = (SELECT queue_id FROM recipients WHERE message_id = :id) -- goes
INSERT INTO suspensions VALUES (99, 'message', x'ff', 0, NULL, '') -- goes
INSERT INTO suspensions VALUES (98, 'message', 'zzzzzzzzzzzzz', 0, NULL, '') -- goes
INSERT INTO suspensions VALUES (99, 'message', '0rpbtc-00041v', 0, NULL, '') -- goes
INSERT INTO suspensions VALUES (99, 'nonsense', 'x', 0, NULL, '') -- goes
INSERT INTO suspensions VALUES (99, 7, 8, 'x', 'y', 9) -- goes
UPDATE lanes SET memory = '{' -- goes
UPDATE lanes SET memory = x'ff', saved_at = 'x' -- goes
UPDATE lanes SET memory = '[]' -- goes
UPDATE totals SET count = 'x' -- goes
UPDATE receipts SET digest = 7, answer = 'x', at = 'y' -- goes
UPDATE owners SET clean = 'x', role = x'ff' -- goes
UPDATE domains SET site = x'ff', last_reply = CAST(x'ff' AS TEXT) WHERE name != '0.test' -- goes
UPDATE recipients SET message_id = x'ff' WHERE message_id = :id -- held: there are recipients, and no message
-- What an earlier version has accepted has no checksum of its envelope: the lines above say NULL for it.
UPDATE messages SET blocks = 3 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET accepted_at = 9e999 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET accepted_at = 'then' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET expires_at = 1 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET checksum = 7 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET checksum = 'x' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET size = 'x' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET size = -1 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET first_recipient = 0, recipients = 10000000 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET first_recipient = -9223372036854775807, recipients = 9223372036854775807 WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET first_recipient = 'x' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET eight_bit = 'x', smtputf8 = 'y', dotted = x'00' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET mail_from = 'other@origin.test' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE messages SET envelope = 'x' WHERE id = :id -- held: what is known of it is not what was accepted
UPDATE recipients SET rcpt_to = 'x' || rcpt_to WHERE message_id = :id -- held: an address of it is not what was accepted
UPDATE recipients SET checksum = x'ff' WHERE message_id = :id -- held: an address of it is not what was accepted
UPDATE recipients SET queue_id = 1 + queue_id % 3 WHERE message_id = :id -- held: an address of it is not what was accepted
