package h1

// staged is a first-in first-out queue of connections.
type staged struct {
	items []*conn
	head  int // items[head:] wait
}

func (q *staged) len() int { return len(q.items) - q.head }

func (q *staged) push(c *conn) { q.items = append(q.items, c) }

// pop returns nil if nobody waits.
func (q *staged) pop() *conn {
	if q.len() == 0 {
		return nil
	}
	c := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return c
}
