"""What servers say about us: sender, address, content."""

from __future__ import annotations

from sender.core.meanings.meaning import MAILBOX, SENDER, Meaning, says
from sender.core.outcome import Reason, Scope

TRUST: tuple[Meaning, ...] = (
    says(
        "too large",
        Reason.TOO_LARGE,
        Scope.MESSAGE,
        """
        {message} .. too large/big/long, {message} .. larger/bigger/greater than, {message} .. {exceeded} .. size,
        {message} length, too much data, mail data, {message} size .. {exceeded}, {message} size .. {limit},
        size .. {exceeded}, size limit*, mail size, {exceeded} .. size, maximum .. size, max .. size,
        size .. too large/big, size .. larger, too large, too big, oversize*, taille limite,
        {message} .. {exceeded} .. maximum, size .. not accept*, recip size limit, size .. max*, mb limit, file size,
        {message} .. more than .. bytes/kb/mb, too heavy, zu gross, zu gro*, zu lang, grosse .. {exceeded},
        trop volumineu*, trop gros*, trop grand*, taille .. {exceeded}, taille max*, demasiado grande,
        demasiado largo, muy grande, tamano .. {exceeded}, tamano max*, supera el tamano, excede .. tamano,
        muito grande, tamanho .. {exceeded}, tamanho max*, excede .. tamanho, troppo grande, troppo grosso,
        dimension* .. {exceeded}, dimension* mass*, supera .. dimension*, te groot, grootte .. {exceeded}, zbyt duz*,
        za duz*, rozmiar .. {exceeded}, przekracza .. rozmiar, слишком больш*, размер .. превыш*, превыш* .. размер*,
        过大, 太大, 大小 .. 超, 超过 .. 大小, 尺寸, サイズ, 大きすぎ, prilis velk*, cok buyuk, for stor*, tul nagy
        """,
        unless="""
        line too long, line .. too long, header .. too long, address too long, too long .. address, local part,
        path too long, command line, header* .. too large, {mailbox} .. full, mailbox size, recipients,
        {mailbox} .. size .. {full}, complexity
        """,
    ),
    says(
        "a personal block",
        Reason.SENDER_REJECTED,
        Scope.RECIPIENT,
        """
        blocked by .. recipient/user/addressee, {mailbox} .. does not accept/want .. from you,
        recipient .. has blocked, user .. has blocked, {mailbox} refuses, {mailbox} .. refuses to,
        recipient .. block* .. you, by user s, {mailbox} .. personal .. {blocked},
        {mailbox} .. {blocked} .. your address, envelope blocked .. user, personal black list, recipient s black list,
        recipient s block list, user s black list, refused by .. recipient/user,
        {mailbox} .. not accept .. from .. sender, {mailbox} .. does not wish,
        you are not allowed to send .. {mailbox}, {mailbox} .. whitelist only, sender .. black list* .. by user,
        on the recipient s, recipient does not want, user .. reject* .. you, sender is on user, sender .. blocked by,
        sender .. denied by .. user, vom empfanger .. blockiert/gesperrt/abgelehnt, bloque par le destinataire,
        bloqueado por el destinatario/usuario, bloqueado pelo destinatario/usuario, bloccato dal destinatario,
        geblokkeerd door de ontvanger, zablokowany przez odbiorc*, заблокирован .. получател*, 被收件人 .. 拒
        """,
        unless="ip, policy, administrator",
        stages=MAILBOX | SENDER,
    ),
    says(
        "sender in bad syntax",
        Reason.MALFORMED,
        Scope.MESSAGE,
        """
        {sender} .. syntax, {sender} .. malformed, {sender} .. fully qualified, {sender} .. fqdn,
        {sender} .. syntactically, {sender} .. ill formed, syntax .. {sender}, {sender} .. not a valid rfc
        """,
        unless="header*, helo, ehlo, no such, does not exist",
    ),
    says(
        "address in bad syntax",
        Reason.MALFORMED,
        None,
        """
        syntax error .. {mailbox}, {mailbox} .. syntax, bad .. address syntax, bad address syntax, malformed address,
        malformed {mailbox}, {mailbox} .. malformed, {mailbox} .. fully qualified, need fully qualified address,
        illegal character*, invalid character*, invalid address syntax, improperly formatted address,
        fully qualified email address, unbalanced, colon required, address .. not rfc, address too long,
        path too long, local part .. too long, localpart, address format, invalid format, bad address format,
        format error, not a valid rfc, unsafe address, {mailbox} .. contains invalid, syntaxfehler, erreur de syntaxe,
        error de sintaxis, erro de sintaxe, errore di sintassi, syntaxisfout, blad skladni, ошибка синтаксис*,
        синтаксическ*, 格式错误, 语法错误, 地址格式, 書式, 構文
        """,
        unless="header*, rfc 5322 compliant, rfc compliant, helo, ehlo, command, no such, does not exist",
    ),
    says(
        "address in bad syntax, by its code",
        Reason.MALFORMED,
        None,
        "invalid address, bad address, invalid recipient address",
        codes=("501", "553", "555"),
        unless="no such, does not exist, unknown, {sender}, spam, from:",
    ),
    says(
        "policy about our domain",
        Reason.POLICY,
        Scope.IDENTITY,
        "polic* .. domain based",
    ),
    says(
        "sending domain does not resolve or is listed",
        Reason.SENDER_REJECTED,
        Scope.IDENTITY,
        """
        domain of sender, domain of {sender}, {sender} .. domain .. {absent}, {sender} .. domain .. not resolv*,
        {sender} .. domain .. {blocked}, {our_domain} .. {absent}, {our_domain} .. not resolv*, {our_domain} .. no mx,
        {our_domain} .. no valid mx, {our_domain} .. {blocked}, {our_domain} .. no a, {our_domain} .. dns,
        {sender} .. {blocked} .. domain not found, {sender} .. no mx, {sender} .. unresolvable,
        {sender} .. can not be resolved, {sender} .. no dns, {sender} .. dns, {sender} .. null mx, {sender} .. tld,
        {sender} .. unrout*ble, {sender} .. unroutable, {sender} .. host not found, {sender} .. bad dns,
        {sender} .. unresolv*, return mx, {sender} domain, unrouteable sender, bad return path domain,
        unresolvable .. {sender}, {sender} .. 域名 .. 不存在, {sender} .. домен*, домен* .. {sender},
        domain* .. {sender} .. {absent}, {sender} .. existe .. domin*, domin* .. {sender} .. {absent},
        domin* .. {sender} .. {blocked}, domain* .. {sender} .. not, domaine .. {sender} .. {absent},
        domein .. {sender} .. {absent}, domena .. {sender} .. {absent}, domain .. des absender*
        """,
        unless="recipient .. domain, recipient address",
    ),
    says(
        "sending domain does not resolve",
        Reason.SENDER_REJECTED,
        Scope.IDENTITY,
        """
        domain .. {absent}, domain .. not resolv*, unresolvable .. domain, can not resolve .. domain, no mx .. domain,
        no mx .. from, ~ {absent}, domain .. no mx, domain .. not found, domain* .. {absent}, dns mx, mx .. record*,
        resource record*, domin* .. {absent}, dns .. domain .. fail*, host not found, does not resolve,
        invalid domain, bad domain
        """,
        stages=SENDER,
        unless="recipient, relay*",
    ),
    says(
        "sender is refused",
        Reason.SENDER_REJECTED,
        Scope.MESSAGE,
        """
        {sender} verify fail*, {sender} verif*, sender callout, {sender} .. {blocked}, {sender} .. {absent},
        {sender} .. denied, {sender} .. not accept*, {sender} .. refused, {sender} .. unauthorized,
        {sender} .. not authorized, {sender} .. not allowed, {sender} .. not permitted, {sender} .. not owned,
        {sender} .. mismatch, {sender} .. suspended, {sender} .. disabled, {sender} .. unverified,
        invalid/bad/illegal/unknown/unacceptable/wrong/blocked .. sender, invalid/bad .. return path,
        {blocked} .. sender, {blocked} .. {sender} address, reject* .. {sender}, from address .. {blocked},
        empty sender, null sender, returned mail, bogus, batv, not authorized to send from that/this,
        sender filter config, blank sender, blank from, empty from, bounce .. not accepted, envelope blocked,
        {sender} denied, denies .. sender, does not accept bounces, no bounces, backscatter, badmailfrom,
        bad mail from, address is not verified, {absent} .. {sender}, {disabled} .. {sender}, sender unknown,
        you are not allowed to use, blocked senders
        """,
        unless="""
        {mailbox} address rejected .. user unknown, recipient address rejected, {sender} .. will be,
        {sender} s ip, {our_address}, spam, authenticat*, inform the sender, notify, virus, contact the sender,
        policy, sender s ip, multiple from
        """,
    ),
    says(
        "not let in",
        Reason.POLICY,
        Scope.LANE,
        """
        network not allowed, host not allowed, ip not allowed, not allowed to connect, permission* to submit,
        connections from your host are denied, connections .. are denied, issue an auth, client not authenticated,
        client was not authenticated
        """,
    ),
    says(
        "where we are",
        Reason.POLICY,
        Scope.LANE,
        """
        geographic*, country, countries .. {blocked}, {blocked} .. countries, geoip, geo ip, geoblock*, your region
        """,
        unless="listed, {message} .. {spam}",
    ),
    says(
        "listed address",
        Reason.REPUTATION,
        Scope.LANE,
        """
        {dns_block_list}, {our_address} .. {blocked}, {blocked} .. {our_address}, {spam} .. from .. {our_address},
        {our_address} .. send* .. {spam}, {our_address} .. {spam} .. {blocked}, {our_address} .. source,
        unusual rate, unusual amount, ip .. {reputation}, black ip, bad ip, ip black, {blocked} .. using,
        block* using, listed at/by/in/on, found in .. black list*, black list*, block list*, blocklisted,
        blocked for .. spam/abuse, block for .. spam/abuse, block* due to spam, blocked .. abuse, banned by/ip/for,
        been banned, are banned, is banned, your network, {reputation} .. block*, spam source, spamtrap*,
        spam trap*, host .. {blocked}, client .. {blocked}, blocked by .. black*, blocked by ~,
        connection refused .. {reputation}, connection rejected .. spam, on our block list, bad reputation,
        reputation, untrusted ip, not trusted, blackholed, not .. accept* .. from this/your ip,
        not accept* .. from this/your ip, not accept* .. from ip, sperrliste, liste noire, lista negra, lista nera,
        zwarte lijst, czarn* list*, czarnej liscie, черн* список, черн* списк*, черном списке, 黑名单, 信誉, 封禁,
        ブラックリスト, kara liste
        """,
        unless="""
        access denied, client host rejected access, policy, not authenticated, attachment*, url, urls,
        {mailbox} .. {blocked} .. inactiv*, {message} content, helo, relay*, mailbox/account .. blocked,
        mailbox is blocked, user .. blocked, unauthenticated, virus, restrictions, {message} is spam,
        {message} .. classified, {spam} pattern*/content*/signature*, banned content/word/words/file*, no such user,
        user unknown, {message} .. looks like, as spam, phish*, domain
        """,
    ),
    says(
        "listed address, as policy",
        Reason.REPUTATION,
        Scope.LANE,
        """
        {dns_block_list}, ip .. black list*, ip .. block list*, listed at/by/in/on .. {dns_block_list},
        on our black list, on our block list, blocked using, found in .. black list*, black list* .. ip,
        block list* .. ip, ip .. block* .. {spam}, {spam} .. from .. ip, access denied .. banned,
        banned sending ip, {our_address} .. {reputation}
        """,
        unless="{message} is spam, url, urls, {spam} pattern*/content*/signature*, banned recipient*",
    ),
    says(
        "virus or attachment",
        Reason.CONTENT,
        Scope.MESSAGE,
        """
        {virus}, attachment*, attach, file type, file name extension, executable*, banned file*, banned content,
        dangerous content, file extension, banned, zip, macro, piece jointe, pieces jointes, archivo adjunto,
        adjunto*, anexo*, allegat*, bijlage*, zalacznik*, anhang, anhange, dateianhang, вложен*, 附件, 添付, priloh*
        """,
        unless="""
        {message} .. too large, phishing prevention, scanners failed, scanner* .. fail*, scan .. fail*, scan error,
        error in processing, unable to scan, could not be scanned, banned recipient*
        """,
    ),
    says(
        "spam",
        Reason.CONTENT,
        Scope.MESSAGE,
        """
        {message} .. {spam}, {spam} .. {message}, {spam} .. reject*, {spam} .. detect*, {spam} .. content,
        {spam} score, spam filter*, spam assassin, spam check*, spam polic*, looks like spam, {spam},
        message filtered, content filter*, content reject*, unacceptable content, recurrent pattern, spamprofiler,
        content .. {blocked}, {message} content, content .. not accept*, content .. policy, content .. denied,
        content .. suspicious, suspicious, objectionable, inappropriate, prohibited content, content scan*,
        content restrict*, content examination, banned word*, forbidden word*, blocked by .. filter*,
        rejected by .. filter*, filtered, contains .. url*/link*/words/phrase, links .. within, url* .. {blocked},
        antispam, bulk, security polic*, {message} .. score*, offensive, quarantine*, inhalt, contenu, contenido,
        conteudo, contenuto, inhoud, tresc, содержим*, содержан*, 内容, 反垃圾, 垃圾邮件
        """,
        unless="""
        content filter .. unavailable, content scan* .. unavailable, scanner .. fail*, scanner .. unavailable,
        content type, content transfer, {mailbox} .. {full}, relay, user unknown, no such user, does not exist
        """,
    ),
)
