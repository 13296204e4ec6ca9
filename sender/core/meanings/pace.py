"""What servers say about our pace."""

from __future__ import annotations

from sender.core.meanings.meaning import MAILBOX, OPENING, SENDER, Meaning, says
from sender.core.outcome import Reason, Scope

PACE: tuple[Meaning, ...] = (
    says(
        "banned for errors",
        Reason.TOO_MANY_ERRORS,
        Scope.LANE,
        """
        {too_many} .. error*/invalid/unknown/bad/failed/failures .. {blocked},
        {too_many} .. error*/invalid/unknown/bad/failed/failures/nonexist*/bounces .. ip/banned/block*/host/listed/from,
        {our_address} .. {too_many} .. errors/invalid/unknown/bad/failed/nonexist*/bounces/failures,
        dictionary attack*, directory harvest*, harvest*, ip/address .. {too_many} .. errors/invalid/unknown,
        {too_many} .. error*/invalid/unknown .. {our_address}, ban* .. {too_many} .. errors/invalid
        """,
        unless="spam, connections, session",
    ),
    says(
        "too many errors, told before any",
        Reason.TOO_MANY_ERRORS,
        Scope.LANE,
        "{too_many} .. error*/invalid/unknown/bad/failed/failures/nonexist*/bounces, error* .. {exceeded}",
        stages=OPENING,
        unless="session",
    ),
    says(
        "too many errors",
        Reason.TOO_MANY_ERRORS,
        Scope.SESSION,
        """
        {too_many} .. error*/invalid/unknown/bad/failed/failures/failure/unrecogni*,
        {too_many} .. syntax/wrong/unsuccessful/nonexist*/junk/illegal/rejected/protocol,
        {too_many} .. bounces/bounce/unauthenticated/nondelivery/incorrect/undefined, {too_many} .. non existent,
        {too_many} commands, {too_many} .. smtp commands, {exceeded} .. bad/invalid/unknown .. command*,
        {too_many} .. noop/rset/vrfy, max* .. errors, error* .. {limit}, error* .. {exceeded},
        invalid/unknown/bad recipients .. {limit}, errors .. threshold, zu viele .. fehler*/ungultig*/unbekannt*,
        trop .. erreurs/invalides/inconnus, demasiados .. errores/invalid*/desconocid*, muitos .. erros/invalid*,
        troppi .. errori/non valid*/invalid*/sconosciut*, te veel .. fouten/ongeldig*/onbekend*,
        zbyt wiele .. bledow/nieprawidlow*, za duzo .. bledow, слишком много .. ошибок/неверн*/неправильн*,
        错误 .. 过多, 错误次数, 无效 .. 过多, 过多 .. 无效, 过多 .. 错误, エラー .. 多すぎ
        """,
        unless="spam, header*, attachment*, mime",
    ),
    says(
        "messages of one session",
        Reason.SESSION_MESSAGE_LIMIT,
        Scope.SESSION,
        """
        {too_many} .. {message} .. {one_session}, {message} .. {limit} .. {one_session},
        {message} .. {exceeded} .. {one_session}, {limit} .. {message} .. {one_session},
        {message} {one_session}, {limit} .. {recipients} .. per/this connection/session,
        {too_many} .. {recipients} .. per/this connection/session, recipients per connection/session,
        {too_many} .. transactions, session .. {message} limit, session .. {limit} .. {message},
        connection .. message limit, {message} .. open a new connection, {limit} .. reconnect,
        {limit} .. new connection, {limit} .. open/start/use another connection/session,
        {connection} .. {too_many} .. {message}, {connection} .. max* .. {message},
        {connection} .. {message} .. {limit}, {message} limit reached, {message} count limit,
        zu viele nachrichten in dieser sitzung/verbindung, 同一连接, 单连接, 一个连接
        """,
        unless="""
        {too_many} .. concurrent/simultaneous, {a_day}, {a_time}, {too_many} connections, rate limit,
        {too_many} .. {connection} .. from
        """,
    ),
    says(
        "one mailbox gets too much",
        Reason.MAILBOX_RATE,
        Scope.RECIPIENT,
        """
        {mailbox} .. receiv* .. rate, {mailbox} .. receiv* .. {too_many}, {mailbox} .. receiv* .. {too_fast},
        {mailbox} .. receiv* .. {a_time}, {mailbox} .. receiv* .. {limit}, receiv* .. {limit} .. {mailbox},
        {too_many} .. {message} .. to/for/by this/that/the recipient/user/mailbox/account/mailbox/addressee,
        {too_many} .. {message} .. to/for/by one/single/same recipient/user/mailbox/account/mailbox/addressee,
        {too_many} .. {message} .. to/for/by your recipient/user/mailbox/account/mailbox/addressee,
        {message} .. to/for this/that/the/same/single recipient/user/mailbox/addressee .. {a_time},
        {mailbox} .. {exceeded} .. {limit} .. receive, recipient .. rate limit*,
        recipient .. {exceeded} .. message rate, recipient rate, rcpt rate, rate .. for this recipient/mailbox/user,
        rate .. to this recipient/mailbox/user, per recipient, per mailbox, {limit} .. per recipient,
        recipient thread limit, inbound rate, receiving limit*, receiving rate, receive limit, receive rate,
        incoming rate, incoming mail .. {mailbox} .. {limit}, {mailbox} .. incoming .. {limit},
        {mailbox} .. {too_many} .. concurrent/simultaneous, concurrent deliver* .. {mailbox}, {mailbox} .. throttl*,
        throttl* .. {mailbox}, {mailbox} .. overwhelmed, {message} to @ .. {too_fast}, {message} to @ .. {too_many},
        recent messages, {mailbox} .. too busy, {mailbox} .. flood*, {too_many} .. {message} .. delivered to,
        mailboxes .. rate, {mailbox} .. under attack, {mailbox} .. {too_many} .. {message},
        empfanger*/postfach .. zu viele, zu viele .. an diesen empfanger, zu viele .. fur dieses postfach,
        destinataire .. recoit .. trop, destinataire .. trop de, trop de .. pour ce destinataire,
        destinatario .. recib* .. demasiad*, destinatario .. demasiados,
        demasiados .. para este destinatario/usuario/buzon, destinatario .. receb* .. muit*,
        destinatario .. ricev* .. tropp*, troppi .. per questo destinatario, ontvanger .. te veel, odbiorca .. zbyt,
        odbiorc* .. zbyt wiele, получател* .. слишком много, получател* .. превыш*, 收件人 .. 过多, 收件人 .. 频率,
        收件人 .. 超过, 该用户 .. 频率
        """,
        unless="""
        {mailbox} .. {full}, from this/that/the/same/your sender, {message} on the server, {message} in .. mailbox,
        too many recipients, {too_many} recipients, {sender} ip, recipients, {recipients} .. {a_time},
        {our_address} .. {too_many}, account .. sent
        """,
        stages=MAILBOX | SENDER,
    ),
    says(
        "recipients of one message",
        Reason.RECIPIENT_LIMIT,
        Scope.MESSAGE,
        """
        {too_many} .. {recipients}, {recipients} .. {limit}, {limit} .. {recipients},
        {recipients} .. {exceeded}, {recipients} .. {too_many}, recipient/recip/rcpt limit,
        recipient/recip/rcpt count, only one recipient, one recipient at a time, one recipient per,
        single recipient, multiple recipients, separate transaction, multiple destination, multiple domains,
        one domain per, recipients per message/mail/transaction/envelope, policy size, fewer recipients,
        another transaction, 收件人 .. 过多, 收件人 .. 太多, 收件人数
        """,
        unless="""
        {recipients} .. from {our_address}, {a_time}, {a_day}, rate, invalid, unknown, message size,
        maximum size, storage, quota exceeded for user, not allowed, sends
        """,
    ),
    says(
        "limit of a day",
        Reason.DAILY_LIMIT,
        Scope.LANE,
        """
        {a_day} <> {limit}, {a_day} <> {exceeded}, {too_many} .. {a_day}, {message} .. {a_day} .. {exceeded},
        enough .. {a_day}, {a_day} .. {too_many}
        """,
        unless="{a_time}, {mailbox} .. full, inactive, retry, concurrent, simultaneous, disk, storage, try again",
    ),
    says(
        "limit of a day, try again",
        Reason.DAILY_LIMIT,
        Scope.LANE,
        """
        daily .. {limit}, daily .. {exceeded}, {limit} .. per day, {limit} .. today, {exceeded} .. per day,
        {too_many} .. per day, {too_many} .. today
        """,
        unless="{a_time}, disk, storage",
    ),
    says(
        "unusual amount of mail",
        Reason.MESSAGE_RATE,
        Scope.LANE,
        """
        unusual rate, unusual amount, unusual volume, unusually high, unusual number, abnormal amount,
        sudden increase, spike
        """,
        codes=("4",),
        unless="reputation",
    ),
    says(
        "connections too often",
        Reason.CONNECTION_RATE,
        Scope.LANE,
        """
        connection*/connect/session rate, too often/frequent*/fast/quick*/rapid* .. connect*,
        {too_many} new .. {connection},
        connection*/connect/connecting/reconnecting/session* .. too often/frequent*/fast/quick*/rapid*/soon,
        connect*/reconnect* too often/frequent*/fast/quick*/rapid*/soon, {too_many} .. {connection} .. {a_time},
        {connection} .. {a_time} .. {exceeded}, {connection} .. {exceeded} .. {a_time},
        {limit} .. {connection} .. {a_time}, {connection} .. {limit} .. {a_time}, rate .. connection*,
        frequency .. connection*, connection* .. frequency, connection* frequency, {too_many} new connections,
        {too_many} connection attempts, {too_many} .. connection attempts, connection attempts,
        connection throttl*, too fast .. connect*, connects too, {connection} per minute/second/hour,
        slow down .. connect*, {a_time} .. {connection} .. {limit}, {too_many} .. {a_time} .. {connection},
        verbindung* .. zu schnell/haufig/oft, zu schnell/haufig .. verbindung*, verbindungsrate,
        connexion* .. trop vite/souvent/frequent*/rapide*, conexion* .. demasiado, frecuencia de conexi*,
        conexoes .. muito, taxa de conex*, conness* .. troppo, frequenza .. conness*,
        verbinding* .. te snel/vaak, polacz* .. zbyt czesto/szybko, zbyt czeste .. polacz*,
        подключ* .. слишком часто, соединен* .. слишком часто, слишком част* .. подключени*/соединени*,
        连接 .. 频率, 连接 .. 频繁, 连接 .. 过快, 接続 .. 頻度
        """,
        unless="concurrent, simultaneous, reputation, messages, emails",
    ),
    says(
        "too many connections",
        Reason.CONNECTION_LIMIT,
        Scope.LANE,
        """
        {too_many} .. {connection}, {connection} .. {limit}, {limit} .. {connection}, {connection} .. {exceeded},
        {exceeded} .. {connection}, {connection} .. {too_many}, concurrent .. connect*/session*/deliver*/smtp,
        simultaneous .. connect*/session*/smtp, concurren* .. {limit}, parallel .. connect*/session*,
        connections from your, already have .. connections, thread limit, no more connections, too many processes,
        out of connections, gleichzeitig*, simultanee*, simultanea*, rownoczesn*, jednoczesn*, одновременн*, 并发,
        同时连接, 连接数, 同時接続, soubezn*, samtidig*
        """,
        unless="""
        {message} .. per connection, certificate, refused by, over .. tls, recipients, rate limit .. on, are denied
        """,
    ),
    says(
        "reputation of our domain",
        Reason.REPUTATION,
        Scope.IDENTITY,
        """
        {our_domain} .. reputation, reputation .. {our_domain}, reputation .. domain, domain .. reputation,
        {domain_block_list}, domain .. present in .. spamhaus, domain .. listed .. spamhaus,
        domain .. {reputation}, url .. black list*, url .. block list*, links .. black list*,
        contains .. blacklisted/blocklisted url/domain/link, domain .. newly/recently registered,
        url/urls/uri/link/links .. listed, url/urls/uri/link/links .. blacklisted,
        newly observed domain, newly registered
        """,
        unless="recipient domain",
    ),
    says(
        "reputation of our address, stated",
        Reason.REPUTATION,
        Scope.LANE,
        """
        user complaints, unexpected volume,
        low/poor/bad/negative/insufficient/untrusted/weak/none reputation,
        reputation .. low/poor/bad/negative/insufficient, {our_address} .. reputation,
        reputation .. {our_address}, due to .. reputation, because of .. reputation, ip score,
        schlechte* reputation, mauvaise reputation, faible reputation, mala reputacion, baja reputacion,
        ma reputacao, baixa reputacao, cattiva reputazione, bassa reputazione, slechte reputatie, zla reputacj*,
        niska reputacj*, плох* репутаци*, низк* репутаци*, 信誉 .. 低, 信誉 .. 差, レピュテーション,
        {too_many} spam*, {too_many} complaints, {too_many} .. spam .. from, spam .. from your ip,
        {dns_block_list} .. ip, ip .. {dns_block_list}, {too_many} .. unsolicited .. from,
        {too_many} .. spam .. complaints, high .. complaint*, spam rate, abuse from,
        {too_many} unwanted .. {message}, {our_address} .. spammer*, {our_address} .. source of spam
        """,
        unless="unusual rate",
    ),
    says(
        "one account or sender sends too fast",
        Reason.IDENTITY_RATE,
        Scope.IDENTITY,
        """
        {sender} .. rate limit*, {sender} .. {too_fast}, {sender} .. {exceeded} .. {limit},
        {sender} .. {exceeded} .. {a_time}, {sender} .. {too_many} .. {message},
        {too_many} .. {message} .. from this/the/same/your sender/address/domain,
        {too_many} .. {message} .. {sender}, {limit} .. {sender} .. {exceeded}, sender domain .. to many,
        sender domain .. {too_many}
        """,
        unless="{our_address}, ip, ips, account, size, sender verify, host",
    ),
    says(
        "messages too fast",
        Reason.MESSAGE_RATE,
        Scope.LANE,
        """
        {message} .. allowed .. {a_time}, exceed* * recipients/messages/mails in, allowed number .. {a_time}, slower,
        volume .. {our_address}, volume .. higher, {too_many} .. {recipients} .. from, rate limit*,
        {too_fast} .. {limit}, {too_fast} .. {exceeded}, {too_many} .. {message}, {too_many} .. {a_time},
        {message} .. {a_time} .. {exceeded}, {exceeded} .. {message} .. {a_time}, {message} .. {exceeded} .. {a_time},
        {exceeded} {limit} .. {message}, {limit} .. {message} .. {a_time}, {message} .. {limit} .. {a_time}, throttl*,
        too fast, too quick*, too often, too frequent*, slow down, slow* it down, {message} rate, unusual rate,
        sending rate, rate exceeded, rate too high, flood*, backoff, back off, frequency limit*, frequency .. limited,
        limited .. frequency, {limit} .. frequency, high volume, volume .. {limit}, volume .. {exceeded},
        relay limit*, relay quota, peak .. {limit}, sending limit*, send limit*, sending quota, sending .. quota,
        message quota, mail quota, message limit*, mail limit*, email limit*, {message} .. {too_many},
        sent .. {too_many}, send .. {too_many}, sending {too_many}, hourly .. {limit}, {limit} .. hourly,
        {limit} .. {a_time}, {exceeded} .. {a_time}, burst*, rate .. {exceeded}, rate .. {limit}, quota .. {a_time},
        resource limit*, exceeded .. sending, exceed* .. permitted limits, exceeded threshold, over permitted limits,
        zu schnell, zu haufig, zu oft, trop vite, trop rapide*, trop souvent, trop frequen*, debit .. limit*,
        demasiado rapid*, muy rapido, con demasiada frecuencia, frecuencia .. {exceeded}, tasa de, muito rapid*,
        taxa de envio, troppo veloc*, troppo frequent*, troppo spesso, te snel, te vaak, zbyt szybko, zbyt czesto,
        слишком часто, слишком быстро, частот* .. превыш*, превыш* .. частот*, скорость .. превыш*,
        превыш* .. скорост*, 频率, 频繁, 过快, 発信 .. 制限, 頻度, 送信制限, prilis rychle, prilis casto
        """,
        unless="""
        size, large, larger, big, {full}, attachment*, mime, parts, disk, storage, header*, lines, characters,
        reputation, recipients specified, mail data
        """,
    ),
)
