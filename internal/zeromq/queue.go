package zeromq

import "time"

// item is a message as it is on the wire, and since when it waits.
type item struct {
	data []byte
	at   time.Time
}

// itemCost is what an item counts for beside its bytes.
const itemCost = 64

func (i item) cost() int { return len(i.data) + itemCost }

// queue is what waits, the oldest first. Its owner has the lock.
type queue struct {
	items []item
	first int
	cost  int
}

func (q *queue) len() int { return len(q.items) - q.first }

func (q *queue) push(i item) {
	if q.first > 64 && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, i)
	q.cost += i.cost()
}

// waiting are the items; valid until the queue changes.
func (q *queue) waiting() []item { return q.items[q.first:] }

func (q *queue) pop() item {
	i := q.items[q.first]
	q.items[q.first] = item{}
	q.first++
	q.cost -= i.cost()
	if q.len() == 0 {
		*q = queue{}
	}
	return i
}

// pushFront puts items before the others, in their order.
func (q *queue) pushFront(items []item) {
	all := append(append(make([]item, 0, len(items)+q.len()), items...), q.waiting()...)
	for _, i := range items {
		q.cost += i.cost()
	}
	q.items, q.first = all, 0
}

// filter keeps what good says yes to, and returns the cost of the rest.
func (q *queue) filter(good func(item) bool) (dropped int) {
	kept := queue{}
	for _, i := range q.waiting() {
		if good(i) {
			kept.push(i)
		}
	}
	dropped = q.cost - kept.cost
	*q = kept
	return dropped
}
