// Package mongrel2 is Mongrel2's wire format, as its handlers see it: functions on bytes that wait for nothing, keep nothing
// and know no sockets.
//
//	request  UUID SP ID SP PATH SP HEADERS BODY     HEADERS: a netstring of JSON, or a tnetstring dict; BODY: a netstring
//	answer   UUID SP IDS SP DATA                    IDS: a netstring of numbers; DATA goes to those clients as it is, and
//	                                                without any they are hung up on
//	control  UUID SP IDS SP COMMAND                 IDS begins with "X "; COMMAND: a tnetstring list
//
// What is parsed points into the message. Reading header fields allocates nothing once a Decoder has its size. A fault is
// an error value that names what is wrong with the message, and nothing is guessed: a length that is off, a second value
// behind the first or a type that has no place are faults. The one liberty is Mongrel2's own: its JSON escapes quotes and
// backslashes and nothing else, so any other byte may stand in a string.
package mongrel2
